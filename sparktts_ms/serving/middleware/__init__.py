"""ASGI middleware of one idea each, for any application: none of it knows Gradio or speech.

A refusal is made by a function `refuse(scope, status, message, headers)`, so that an application
can answer in the form that its clients read.
"""

from sparktts_ms.serving.middleware.api_key import ApiKeys
from sparktts_ms.serving.middleware.body import BodyLimit, BodyTimeLimit, TotalBodyLimit
from sparktts_ms.serving.middleware.concurrency import ConcurrencyLimit
from sparktts_ms.serving.middleware.errors import ErrorLog, FullDisk
from sparktts_ms.serving.middleware.hosts import HostCheck
from sparktts_ms.serving.middleware.origins import OriginCheck
from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import AllowedRoutes, route_path
from sparktts_ms.serving.middleware.visitors import VisitorCookie

__all__ = ["AllowedRoutes", "ApiKeys", "BodyLimit", "BodyTimeLimit", "ConcurrencyLimit", "ErrorLog",
           "FullDisk", "HostCheck", "OriginCheck", "Refuse", "TotalBodyLimit", "VisitorCookie",
           "json_refusal", "route_path"]
