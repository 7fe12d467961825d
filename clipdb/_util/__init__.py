"""What every room uses: texts made safe to print, notes, threads, progress."""
