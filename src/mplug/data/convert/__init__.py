"""Official files of published data sets to records: the table of what can be converted."""

from mplug.data.convert.common import Converter

CONVERTERS: dict[str, Converter] = {}
