"""Corpora: vocode many utterances on all cores of a machine, or of a Ray cluster."""

from linnet.bulk.running import Report, vocode
from linnet.bulk.utterances import Utterance
from linnet.bulk.vocoder import Vocoder

__all__ = ["Report", "Utterance", "Vocoder", "vocode"]
