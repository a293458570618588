"""What whole-program tests stand on: the program's faces as children, a blunt SMTP client, the
admin API, and the books that the service keeps on disk.

Every child has free ports and a directory of its own; only children that were started here are
ended here."""
from .api import Api, ApiError, NoService
from .books import Books, STATES
from .load import Load, all_arrived
from .process import Child, Service, Sink, end_children, free_port, listens, program, scratch
from .preload import preload, sanitizers
from .smtp import Refused, Smtp, Unheard

__all__ = ["Api", "ApiError", "NoService", "Books", "STATES", "Load", "all_arrived", "Child", "Service", "Sink",
           "Refused", "Smtp", "Unheard", "end_children", "free_port", "listens", "preload", "program",
           "sanitizers", "scratch"]
