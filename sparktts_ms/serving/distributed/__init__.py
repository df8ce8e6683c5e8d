"""The speech server on many devices, by Ray Serve: `sparktts_ms.serving.ray_app` puts it together.

    engine          what runs on a device: one replica of a Serve deployment
    router          which engine a request goes to
    messages        what an engine sends while it speaks
    remote_speech   an AsyncService whose requests go to the engines
    ray_metrics     the server's metrics, exported by Ray

Nothing else in this package imports Ray, and only `ray_app` imports this.
"""
