"""The KServe V2 protocol over gRPC, with Triton's extensions of upstream's runtime.

The messages and the service are those that `tritonclient` brings. MindSpore makes protobuf parse in
Python, where a minute of reference as protobuf's numbers (not as bytes) takes seconds: messages of
tensors are parsed in threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AbstractContextManager, ExitStack, aclosing, asynccontextmanager
from typing import Any

import grpc
import numpy as np
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer

from sparktts_ms.errors import InputError, SparkTTSError, quoted
from sparktts_ms.serving.kserve.errors import status_code_of
from sparktts_ms.serving.kserve.inference import Inference, Outputs
from sparktts_ms.serving.kserve.memory import SMALL
from sparktts_ms.serving.kserve.models import (
    VERSION,
    InferRequest,
    ModelSpec,
    Parameter,
    check_tensor_parameters,
    find_model,
    make_request,
)
from sparktts_ms.serving.kserve.tensors import (
    TensorSpec,
    from_bytes,
    from_elements,
    tensor_error,
    to_bytes,
)
from sparktts_ms.serving.middleware.api_key import KnownKeys
from sparktts_ms.serving.middleware.errors import log_error
from sparktts_ms.serving.monitoring.tracing import REQUEST_ID, RequestRecord, record_request

logger = logging.getLogger("sparktts_ms")

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
# These need no key.
OPEN_METHODS = tuple(f"/{SERVICE.full_name}/{name}" for name in ("ServerLive", "ServerReady"))
TENSOR_METHODS = ("ModelInfer", "ModelStreamInfer")     # may be large
UNSUPPORTED = {
    "RepositoryModelLoad": "Models are not loaded or unloaded by clients.",
    "RepositoryModelUnload": "Models are not loaded or unloaded by clients.",
    "SystemSharedMemoryStatus": "This server does not use shared memory.",
    "SystemSharedMemoryRegister": "This server does not use shared memory.",
    "SystemSharedMemoryUnregister": "This server does not use shared memory.",
    "CudaSharedMemoryStatus": "This server does not use shared memory.",
    "CudaSharedMemoryRegister": "This server does not use shared memory.",
    "CudaSharedMemoryUnregister": "This server does not use shared memory.",
    "TraceSetting": "This server has no settings of traces.",
    "LogSettings": "This server has no settings of logs.",
}
CONTENTS = {"FP32": "fp32_contents", "INT32": "int_contents", "BYTES": "bytes_contents"}
FINAL = "triton_final_response"
WANTS_EMPTY_FINAL = "triton_enable_empty_final_response"
SPARE_RPCS = 100                # in progress at once beside the requests that may wait
MAX_STREAM_REQUESTS = 32        # of one stream, in progress at once
MAX_RECEIVED = 16               # calls with one request whose messages arrive at a time
KEEPALIVE_MS = 60_000           # between pings that find clients that are gone
READ_SECONDS = 300.0            # for a client to read a response of a stream
STOP_SECONDS = 2.0              # for calls in progress when the server ends
FAILED = "The server failed; its log has the details."

NOT_READ = grpc.StatusCode.DEADLINE_EXCEEDED

Send = Callable[[Any], Awaitable[None]]
Context = Any                   # a grpc.aio.ServicerContext


@asynccontextmanager
async def serve_grpc(inference: Inference, host: str, port: int,
                     api_keys: Collection[str] = ()) -> AsyncIterator[int]:
    """Serve as long as the context lasts; gives the port, the real one if `port` is 0. Raises
    InputError if the server cannot listen there."""
    settings = inference.server.settings
    server = grpc.aio.server(
        interceptors=[ApiKeyInterceptor(api_keys)] if api_keys else [],
        maximum_concurrent_rpcs=settings.max_queue + SPARE_RPCS,
        options=[("grpc.max_receive_message_length", settings.limits.tensors),
                 ("grpc.max_send_message_length", -1),
                 ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                 ("grpc.keepalive_permit_without_calls", 1),
                 ("grpc.so_reuseport", 0)])         # else two servers could share a port
    server.add_generic_rpc_handlers((service_handler(InferenceServicer(inference)),))
    address = f"[{host.strip('[]')}]" if ":" in host else host or "[::]"
    try:
        bound = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError:
        raise InputError(f"The gRPC server cannot listen on {quoted(host)}:{port}.",
                         "Choose another address or port.", code="port_unavailable") from None
    await server.start()
    logger.info("gRPC: %s:%d", address, bound)
    try:
        yield bound
    finally:
        await server.stop(STOP_SECONDS)


def service_handler(servicer: InferenceServicer) -> grpc.GenericRpcHandler:
    """The calls of the servicer, which parses messages of tensors itself."""
    handlers = {}
    for method in SERVICE.methods:
        request = None
        if method.name not in TENSOR_METHODS:
            request = GetMessageClass(method.input_type).FromString
        response = GetMessageClass(method.output_type).SerializeToString
        handler = (grpc.stream_stream_rpc_method_handler if method.client_streaming
                   else grpc.stream_unary_rpc_method_handler if method.name in TENSOR_METHODS
                   else grpc.unary_unary_rpc_method_handler)
        handlers[method.name] = handler(getattr(servicer, method.name), request, response)
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


class _NotReadError(Exception):
    """The client does not read what a stream sends."""


class _ClientGoneError(Exception):
    """The client left while something was sent to it."""


class ApiKeyInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without one of the keys in their metadata, as `authorization: Bearer KEY`; all
    but the health calls."""

    def __init__(self, keys: Collection[str]):
        self.keys = KnownKeys(keys)

        async def refuse(requests: Any, context: Context) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED,
                                "This server needs a key: authorization: Bearer KEY.")

        self._refusal = grpc.stream_stream_rpc_method_handler(refuse)   # reads no message

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]],
                                call: grpc.HandlerCallDetails) -> Any:
        allowed = call.method in OPEN_METHODS
        for name, value in call.invocation_metadata:
            if name == "authorization":
                scheme, _, key = str(value).strip().partition(" ")
                known = bool(self.keys.find(key.strip().encode()))
                allowed |= known and scheme.lower() == "bearer"
        return await continuation(call) if allowed else self._refusal


class InferenceServicer(GRPCInferenceServiceServicer):
    """Upstream's gRPC service. Errors have the status codes of `STATUS_CODES`, except in a stream:
    there they are responses with an `error_message`, as Triton's."""

    def __init__(self, inference: Inference):
        self.inference = inference
        self._receiving = asyncio.Semaphore(MAX_RECEIVED)
        for name, message in UNSUPPORTED.items():
            setattr(self, name, _unsupported(message))

    async def ServerLive(self, request: Any, context: Context) -> Any:
        return messages.ServerLiveResponse(live=not self.inference.speech.is_stuck)

    async def ServerReady(self, request: Any, context: Context) -> Any:
        return messages.ServerReadyResponse(ready=self.inference.ready)

    async def ModelReady(self, request: Any, context: Context) -> Any:
        try:
            find_model(request.name, request.version)
        except InputError:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=self.inference.ready)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:
        return ParseDict(self.inference.server_metadata(), messages.ServerMetadataResponse())

    async def ModelMetadata(self, request: Any, context: Context) -> Any:
        model = await _find(request.name, request.version, context)
        return ParseDict(model.metadata(), messages.ModelMetadataResponse())

    async def ModelConfig(self, request: Any, context: Context) -> Any:
        model = await _find(request.name, request.version, context)
        config = self.inference.config(model.name)
        return ParseDict({"config": config}, messages.ModelConfigResponse())

    async def ModelStatistics(self, request: Any, context: Context) -> Any:
        statistics = self.inference.statistics
        names = list(statistics)
        if request.name:
            names = [(await _find(request.name, request.version, context)).name]
        stats = [statistics[name].to_dict() for name in names]
        return ParseDict({"model_stats": stats}, messages.ModelStatisticsResponse())

    async def RepositoryIndex(self, request: Any, context: Context) -> Any:
        index = self.inference.repository_index(request.ready)
        return ParseDict({"models": index}, messages.RepositoryIndexResponse())

    async def ModelInfer(self, requests: Any, context: Context) -> Any:
        """The request is one ModelInferRequest, which is received here: gRPC would receive as many
        at a time as there are calls, each of them as slowly as its client likes."""
        seconds = self.inference.server.settings.limits.body_seconds
        try:
            content = await asyncio.wait_for(self._receive(context), seconds)
        except (asyncio.TimeoutError, TimeoutError):
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED,
                                "The request did not arrive in time.")
            raise
        with ExitStack() as held:
            message, refusal = await self._read(content, held)
            del content                 # what an ended call keeps must not keep its tensors
            with _record("ModelInfer", message, context) as record:
                context.set_trailing_metadata(((REQUEST_ID, record.request_id),))
                try:
                    if refusal is not None:
                        raise refusal
                    response = await self._respond(message)
                    record.status = "OK"
                    return response
                except Exception as error:
                    code, text = _describe("ModelInfer", error)
                del message, refusal
                record.status = code.name
                await context.abort(code, text)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> None:
        """Requests of one stream are answered at once; their responses come as they are made."""
        writing = asyncio.Lock()
        free = asyncio.Semaphore(MAX_STREAM_REQUESTS)
        tasks: set[asyncio.Task] = set()
        finished: asyncio.Queue[asyncio.Task] = asyncio.Queue()

        def start(work: Coroutine) -> asyncio.Task:
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(finished.put_nowait)
            return task

        async def read_requests() -> None:
            async for content in requests:
                await free.acquire()
                answer = start(self._answer(content, context, send))
                answer.add_done_callback(lambda _: free.release())

        async def send(response: Any) -> None:
            async with writing:
                try:
                    await asyncio.wait_for(context.write(response), READ_SECONDS)
                except (asyncio.TimeoutError, TimeoutError):
                    raise _NotReadError from None
                except grpc.aio.InternalError:      # "execute_batch" of a call that has ended
                    raise _ClientGoneError from None

        start(read_requests())
        try:
            while tasks:
                task = await finished.get()
                tasks.discard(task)
                task.result()
        except _NotReadError:
            await context.abort(NOT_READ, "The responses are not read.")
        except _ClientGoneError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, context: Context) -> bytes:
        """The message of a call that has one; empty if there is none. Not by the call's iterator,
        which would keep it until the garbage collector runs."""
        async with self._receiving:
            content = await context.read()
        return content if isinstance(content, bytes) else b""

    async def _read(self, content: bytes, held: ExitStack) -> tuple[Any, InputError | None]:
        """A ModelInferRequest; an empty one if that cannot be read, or if there is no room for it:
        then with the error. Its room is taken until `held` is left."""
        try:
            held.enter_context(self.inference.memory.holding(len(content)))
        except InputError as error:
            return messages.ModelInferRequest(), error.with_traceback(None)
        if len(content) <= SMALL:
            return read_message(content), None
        return await self.inference.memory.read(len(content), read_message, content), None

    async def _respond(self, message: Any) -> Any:
        """The response to one ModelInferRequest."""
        model = _requested_model(message)
        with self.inference.statistics[model.name].request() as stages:
            request = await asyncio.to_thread(parse_request, model, message)
            outputs = await self.inference.infer(request, stages)
            stages.enter("compute_output")
            return make_response(request, outputs)

    async def _answer(self, content: bytes, context: Context, send: Send) -> None:
        """Send the responses to one ModelInferRequest of a stream."""
        with ExitStack() as held:
            message, refusal = await self._read(content, held)
            await self._answer_message(message, refusal, context, send)

    async def _answer_message(self, message: Any, refusal: InputError | None, context: Context,
                              send: Send) -> None:
        with _record("ModelStreamInfer", message, context) as record:
            try:
                if refusal is not None:
                    raise refusal
                await self._send_responses(message, send)
                record.status = "OK"
            except _NotReadError:
                record.status = NOT_READ.name
                raise
            except _ClientGoneError:
                record.status = grpc.StatusCode.CANCELLED.name
                raise
            except Exception as error:
                code, text = _describe("ModelStreamInfer", error)
                record.status = code.name
                response = messages.ModelStreamInferResponse(error_message=text)
                response.infer_response.id = message.id
                response.infer_response.parameters[FINAL].bool_param = True
                await send(response)

    async def _send_responses(self, message: Any, send: Send) -> None:
        model = _requested_model(message)
        with self.inference.statistics[model.name].request() as stages:
            request = await asyncio.to_thread(parse_request, model, message)
            async with aclosing(self.inference.stream(request, stages)) as responses:
                async for row, outputs in responses:
                    stages.enter("compute_output")
                    response = make_response(request, outputs, final=not model.decoupled)
                    if request.batch > 1 and model.decoupled:
                        response.parameters["row"].int64_param = row
                    await send(messages.ModelStreamInferResponse(infer_response=response))
                    stages.enter("compute_infer")
        if model.decoupled and request.parameters.get(WANTS_EMPTY_FINAL) is True:
            response = make_response(request, {}, final=True)
            await send(messages.ModelStreamInferResponse(infer_response=response))


def read_message(content: bytes) -> Any:
    """A ModelInferRequest; an empty one if that cannot be read."""
    try:
        return messages.ModelInferRequest.FromString(content)
    except (DecodeError, ValueError, RecursionError):
        return messages.ModelInferRequest()


def _requested_model(message: Any) -> ModelSpec:
    """Raises InputError."""
    if not message.model_name:
        raise tensor_error("The message is no ModelInferRequest, or names no model.")
    return find_model(message.model_name, message.model_version)


def parse_request(model: ModelSpec, message: Any) -> InferRequest:
    """The request of a ModelInferRequest. Raises InputError."""
    raw = message.raw_input_contents
    for tensor in message.inputs:
        check_tensor_parameters(tensor.name, tensor.parameters)
    if raw and len(raw) != len(message.inputs):
        raise tensor_error(f"There are {len(raw)} raw_input_contents for {len(message.inputs)} "
                           "inputs.", "Give each input's data once, all in the same form.")
    inputs = []
    for n, tensor in enumerate(message.inputs):
        spec = model.input(tensor.name)
        shape = spec.check(tensor.datatype, list(tensor.shape))
        if raw and tensor.HasField("contents"):
            raise tensor_error(f"{spec.name} has both contents and raw_input_contents.",
                               "Give its data once.")
        array = from_bytes(spec, shape, raw[n]) if raw else _from_contents(spec, shape, tensor)
        inputs.append((spec.name, array))
    outputs = []
    for output in message.outputs:
        spec = model.output(output.name)
        check_tensor_parameters(spec.name, output.parameters)
        outputs.append(spec.name)
    return make_request(model, message.id, inputs, outputs, _parameters(message.parameters))


def make_response(request: InferRequest, outputs: Outputs, final: bool | None = None) -> Any:
    """The ModelInferResponse of outputs. final: whether it is the last one of a stream."""
    response = messages.ModelInferResponse(model_name=request.model.name, model_version=VERSION,
                                           id=request.id)
    if final is not None:
        response.parameters[FINAL].bool_param = final
    for name in request.outputs:
        if name in outputs:
            array = outputs[name]
            datatype = request.model.output(name).datatype
            response.outputs.add(name=name, datatype=datatype, shape=array.shape)
            response.raw_output_contents.append(to_bytes(array))
    return response


def _from_contents(spec: TensorSpec, shape: tuple[int, ...], tensor: Any) -> np.ndarray:
    """The array [*shape] of the typed contents of a tensor, which are not kept: as numbers of
    Python they take several times as much."""
    array = from_elements(spec, shape, getattr(tensor.contents, CONTENTS[spec.datatype]))
    tensor.ClearField("contents")
    return array


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Parameter]:
    """Values of InferParameters; those that have none are left out."""
    values = {}
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None:
            values[name] = getattr(parameter, kind)
    return values


def _record(method: str, message: Any, context: Context) -> AbstractContextManager[RequestRecord]:
    """See `record_request`. The id is that of the metadata, or of the message."""
    metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
    return record_request(
        f"gRPC {method} {quoted(message.model_name)}", metadata,
        metadata.get(REQUEST_ID, message.id), attribute="rpc.grpc.status_code")


def _describe(method: str, error: Exception) -> tuple[grpc.StatusCode, str]:
    """Status code and message of an error."""
    if isinstance(error, SparkTTSError):
        return status_code_of(error), error.message()
    log_error(f"gRPC {method}", error)
    return grpc.StatusCode.INTERNAL, FAILED


async def _find(name: str, version: str, context: Context) -> ModelSpec:
    """The model; ends the call if there is none."""
    try:
        return find_model(name, version)
    except InputError as error:
        await context.abort(status_code_of(error), error.message())
        raise


def _unsupported(message: str) -> Callable[[Any, Context], Awaitable[None]]:
    async def refuse(request: Any, context: Context) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)

    return refuse
