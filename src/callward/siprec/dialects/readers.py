"""The reader of each vendor's hints."""

from __future__ import annotations

from callward.siprec.dialects import avaya, broadworks, cisco, metaswitch, oracle, other_vendors, ribbon
from callward.siprec.dialects.hints import Hints, Reader, Told

_READERS: dict[str, Reader] = {
    "audiocodes": other_vendors.read_audiocodes,
    "avaya": avaya.read,
    "broadworks": broadworks.read,
    "cisco": cisco.read,
    "genesys": other_vendors.read_genesys,
    "jambonz": other_vendors.read_jambonz,
    "metaswitch": metaswitch.read,
    "oracle": oracle.read,
    "ribbon": ribbon.read,
    "webex": broadworks.read,
}


def read_hints(vendor: str, told: Told) -> Hints:
    """What the vendor's dialect tells about one call."""
    return _READERS.get(vendor, other_vendors.read_plain)(told)
