"""`callward seal`: the sealing process."""

from __future__ import annotations

from callward.archive.extraction import MediaExtractor, lower_priority
from callward.archive.ingest import Ingest
from callward.archive.keys import ArchiveKeys
from callward.archive.sealer import Sealer
from callward.archive.sealer_watch import SealerWatch
from callward.archive.tracks import MediaTracks
from callward.media.client import MediaClient
from callward.media.codec_process import CodecPool
from callward.platform.blobs import open_blob_store
from callward.platform.process import Service, run_service
from callward.platform.settings import Settings
from callward.recorder.sealing.seal import SealOptions


def run_seal(settings: Settings) -> None:
    """Seal what the recorder has recorded, until a signal comes."""
    run_service("seal", _seal, settings)


async def _seal(service: Service) -> None:
    settings, paths = service.settings, service.paths
    lower_priority()
    codecs = CodecPool(settings.seal.jobs * 2)
    media = MediaClient(paths.media_socket)
    media.start()
    ingest = Ingest(
        spool=paths.journal_seal / "spool",
        extract=MediaExtractor(paths.journal_audio, paths.journal_keys),
        codecs=codecs,
        keys=ArchiveKeys(paths.keys / "archive"),
        store=open_blob_store(settings),
        options=SealOptions(settings.seal.codec, settings.seal.opus_bitrate),
    )
    watch = SealerWatch(service.health)
    sealer = Sealer(paths.journal_recorder, paths.journal_seal, ingest, MediaTracks(media), settings.seal.jobs, watch)
    service.ready()
    try:
        await sealer.run(service.stopping)
    finally:
        codecs.close()
        await media.close()
