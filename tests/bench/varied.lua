-- GETs of which no two are alike, neither in their target nor in their fields.
local number = 0

request = function()
  number = number + 1
  return "GET /?item=" .. number .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: "
    .. number .. "\r\n\r\n"
end
