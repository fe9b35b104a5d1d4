"""What every framework's application serves, in the framework's own words.

POST /upload    a form with a `file`; its SHA-256
POST /digest    any body, read piece by piece; its SHA-256
GET  /stream    NUMBERS, one by one
GET  /events    server-sent events: 0, 1, 2
GET  /file      FILE, as the framework sends files
WS   /echo      what it gets; 4000 for "bye"
"""

from pathlib import Path

COUNT = 300
NUMBERS = b"".join(b"%d," % n for n in range(COUNT))
EVENTS = [b"data: %d\n\n" % n for n in range(3)]
FILE = Path(__file__)
BYE = 4000
