"""How answers look: tables, cells, results, progress; text for people, and JSON."""
