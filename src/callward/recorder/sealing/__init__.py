"""From the packets of closed tracks to one master file: timeline, decoding, levels, waveform, manifest."""
