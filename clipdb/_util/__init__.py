"""What every room uses: texts made safe to print, a person's tables, threads, progress."""
