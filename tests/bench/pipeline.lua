-- So many GETs in one write: wrk ... -s pipeline.lua URL -- 16
init = function(args)
  local one = wrk.format()
  all = string.rep(one, tonumber(args[1]))
end

request = function()
  return all
end
