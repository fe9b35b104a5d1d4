"""WebSocket's close codes (RFC 6455, 7.4.1)."""

from typing import Final

GOING_AWAY: Final = 1001
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
INVALID_DATA: Final = 1007
INTERNAL_ERROR: Final = 1011
