"""What whole-program tests stand on: the program's faces as children, a blunt SMTP client, the
admin API, and the books that the service keeps on disk.

Every child has free ports and a directory of its own; only children that were started here are
ended here."""
from .api import Api, ApiError, NoService
from .books import Books, STATES
from .process import Child, Service, Sink, free_port, listens, program, scratch
from .smtp import Refused, Smtp, Unheard

__all__ = ["Api", "ApiError", "NoService", "Books", "STATES", "Child", "Service", "Sink", "Refused",
           "Smtp", "Unheard", "free_port", "listens", "program", "scratch"]
