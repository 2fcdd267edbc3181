"""What every stage needs: files, digests, seeds, devices, provenance."""
