"""Official files of published data sets to records: the table of what can be converted."""

from mplug.data.convert import (
    coco,
    easy_vqa,
    flickr30k,
    genome,
    iu_xray,
    msrvtt,
    msvd,
    nocaps,
    pairs,
    refer,
    vatex,
    vqa,
    web,
)
from mplug.data.convert.common import Converter

CONVERTERS: dict[str, Converter] = {
    "coco": coco.COCO,
    "coco-karpathy": coco.COCO_KARPATHY,
    "nocaps": nocaps.NOCAPS,
    "flickr30k": flickr30k.FLICKR30K,
    "sbu": web.SBU,
    "cc3m": web.CC3M,
    "cc12m": web.CC12M,
    "iu-xray": iu_xray.IU_XRAY,
    "vqav2": vqa.VQAV2,
    "visual-genome": genome.VISUAL_GENOME,
    "gqa": genome.GQA,
    "easy-vqa": easy_vqa.EASY_VQA,
    "refcoco": refer.REFCOCO,
    "refcoco+": refer.REFCOCO_PLUS,
    "refcocog": refer.REFCOCOG,
    "referit": refer.REFERIT,
    "nlvr2": pairs.NLVR2,
    "snli-ve": pairs.SNLI_VE,
    "msrvtt": msrvtt.MSRVTT,
    "msvd": msvd.MSVD,
    "vatex": vatex.VATEX,
}
