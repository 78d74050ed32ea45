"""Experiments: tables of trainings, built cell by cell into a JSON file."""
