"""Demonstration stand-in for a voice activity detector; not the real silero-vad."""

from .model import load_silero_vad
from .utils_vad import VADIterator, collect_chunks, get_speech_timestamps, read_audio, save_audio

__all__ = [
    "VADIterator",
    "collect_chunks",
    "get_speech_timestamps",
    "load_silero_vad",
    "read_audio",
    "save_audio",
]
