"""The preference matching paper: policies that give answers as often as they win, and those that collapse."""
