"""Colours, type, icons, shadows and the wallpaper."""
