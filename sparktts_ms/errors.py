"""What can go wrong for a user, one class each. Every message is one line that names the thing and the remedy."""


class SparkTTSError(Exception):
    """Base of all errors that a user can cause or mend; command lines print it and exit with status 2."""


class InputError(SparkTTSError):
    """The request makes no sense: no text, labels that contradict each other, a value out of range."""


class AudioError(SparkTTSError):
    """A recording that cannot serve as a prompt: missing, not audio, empty, silent, too short."""


class VoiceError(SparkTTSError):
    """A file that holds no voice, or the voice of another model."""


class ModelError(SparkTTSError):
    """A model directory that is missing, incomplete or inconsistent."""


class WeightsError(ModelError):
    """A weights file that is damaged, unsafe, or does not fit its configuration."""


class DeviceError(SparkTTSError):
    """The device, data type or mode asked for cannot be had here."""


class NoSpeech(SparkTTSError):
    """The language model produced nothing that can be made audible."""


class OutputError(SparkTTSError):
    """A result cannot be written where it should go."""


class DownloadError(SparkTTSError):
    """A hub cannot be reached or does not hold what was asked for."""


class ServiceClosed(SparkTTSError):
    """Something was asked of a service that has been closed."""
