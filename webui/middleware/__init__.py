"""ASGI middleware of one idea each, for any application: none of it knows Gradio or speech.

A refusal is made by a function `refuse(scope, status, message, headers)`, so that an application
can answer in the form that its clients read.
"""

from webui.middleware.api_key import ApiKeys
from webui.middleware.body import BodyLimit, BodyTimeLimit
from webui.middleware.concurrency import ConcurrencyLimit
from webui.middleware.errors import ErrorLog, FullDisk
from webui.middleware.hosts import HostCheck
from webui.middleware.origins import OriginCheck
from webui.middleware.refusal import Refuse, json_refusal
from webui.middleware.routes import AllowedRoutes, route_path
from webui.middleware.visitors import VisitorCookie

__all__ = ["AllowedRoutes", "ApiKeys", "BodyLimit", "BodyTimeLimit", "ConcurrencyLimit", "ErrorLog",
           "FullDisk", "HostCheck", "OriginCheck", "Refuse", "VisitorCookie", "json_refusal",
           "route_path"]
