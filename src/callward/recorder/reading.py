"""Reading what a message tells of its session, so that no metadata ever stands in the way of the audio (S16)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from callward.siprec.observation import Observation
from callward.siprec.picture import Picture
from callward.siprec.picturing import picture
from callward.siprec.session import SessionState, advance


def read_on(state: SessionState, observation: Observation, at: datetime) -> tuple[SessionState, Picture, str]:
    """The state after a message, its picture, and what was wrong when the metadata had to be passed over.

    Readers return oddities and do not raise. Should one fail all the same, the message counts without its metadata,
    which is kept raw.
    """
    try:
        following = advance(state, observation, at=at)
        return following, picture(following), ""
    except Exception as error:  # a defect of ours must not cost the recording
        following = advance(state, replace(observation, metadata=()), at=at)
        return following, picture(following), f"the metadata could not be used ({type(error).__name__})"
