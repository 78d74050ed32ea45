"""What keys are called on the page; a key without an entry is spelled out as it is."""

METRICS = {
    "recall_at_1_image_to_text": (
        "Picture to caption, right at first try",
        "Given a picture, is its own caption the most similar of the whole gallery?",
    ),
    "recall_at_1_text_to_image": (
        "Caption to picture, right at first try",
        "Given a caption, is its own picture the most similar of the whole gallery?",
    ),
    "recall_at_5_image_to_text": (
        "Picture to caption, right among the first five",
        "Given a picture, is its own caption among the five most similar?",
    ),
    "recall_at_5_text_to_image": (
        "Caption to picture, right among the first five",
        "Given a caption, is its own picture among the five most similar?",
    ),
    "object_f1": (
        "Objects named in captions (F1)",
        "Does the caption name the objects that are there, and no others?",
    ),
    "object_precision": (
        "Named objects that are there",
        "Of the objects a caption names, how many are in the picture?",
    ),
    "object_recall": (
        "Objects there that are named",
        "Of the objects in the picture, how many does the caption name?",
    ),
    "recall_at_1_image_to_text_by_itm": (
        "Picture to caption, by matching alone",
        "Is its own caption the likeliest of the most similar ones, by ITM alone?",
    ),
    "recall_at_1_text_to_image_by_itm": (
        "Caption to picture, by matching alone",
        "Is its own picture the likeliest of the most similar ones, by ITM alone?",
    ),
    "recall_at_1_image_to_text_by_itc_and_itm": (
        "Picture to caption, by similarity and matching",
        "Is its own caption first when the logits of ITC and ITM are added?",
    ),
    "recall_at_1_text_to_image_by_itc_and_itm": (
        "Caption to picture, by similarity and matching",
        "Is its own picture first when the logits of ITC and ITM are added?",
    ),
    "relation_accuracy": (
        "Stated relations that are true",
        "Of captions that name just what is there and say how it stands, how many are right?",
    ),
    "true_over_reversed": (
        "True caption preferred to the reversed one",
        "Does matching (ITM) like “a above b” better than “a below b” where it is so?",
    ),
    "answer_accuracy": (
        "Questions answered right",
        "Is the answer, in the model's own words, the one that the picture gives?",
    ),
    "vqa_accuracy": (
        "VQA accuracy",
        "Do people agree with the answer? Three of them are enough.",
    ),
    "consistency": (
        "Statements judged right of all their pairs",
        "Is a statement judged right of every pair of pictures that it comes with?",
    ),
    "bleu_4": ("BLEU-4", "Do phrases of up to four words occur in a true caption?"),
    "rouge_l": ("ROUGE-L", "How long is the longest common sequence of words?"),
    "meteor": ("METEOR", "Do words agree, or their stems and synonyms?"),
    "spice": ("SPICE", "Do objects, attributes and relations agree?"),
    "grounding_accuracy": (
        "Phrases found (Acc@0.5)",
        "Does the box overlap the true one by half of what both cover?",
    ),
    "mean_iou": (
        "Overlap of found boxes with the true ones (IoU)",
        "How much of what the box and the true one cover do they share?",
    ),
    "compare_accuracy": (
        "Statements about two pictures judged right",
        "Is a statement about the left and the right picture true or false?",
    ),
    "entail_accuracy": (
        "Hypotheses judged right",
        "Does the picture say so, say otherwise, or leave it open?",
    ),
    "cider_d": (
        "Captions against the true ones (CIDEr-D)",
        "Do words and phrases agree with the true captions, rare ones counting more? From 0 to 10.",
    ),
}

# Metrics that also come for each kind of what is asked: `answer_accuracy_how_many`.
BY_KIND = (
    "answer_accuracy",
    "vqa_accuracy",
    "grounding_accuracy",
    "compare_accuracy",
    "entail_accuracy",
)

# A task's figures, by the name that they carry.
TASKS = {
    "retrieval": "Search",
    "captioning": "Captions",
    "matching": "Matching",
    "answering": "Questions",
    "grounding": "Boxes",
    "comparing": "Pairs of pictures",
    "entailment": "Entailment",
    "video_answering": "Questions about clips",
}

# What is asked of pictures beside captions and search: a section's title, and how to read it.
PARTS = {
    "answer": (
        "Questions",
        "Answers in the model’s own words. Each question is also asked of another picture with "
        "another answer, so that its text alone is worth little.",
    ),
    "ground": (
        "Boxes",
        "Each phrase fits one thing in the picture. It counts as found where the two boxes share "
        "half of what they cover together.",
    ),
    "compare": (
        "Pairs of pictures",
        "A statement about the left and the right picture is true or false.",
    ),
    "entail": (
        "Entailment",
        "The picture says so (entailment), says otherwise (contradiction), or leaves it open "
        "(neutral): a striped screen could hide what is spoken of.",
    ),
    "clip": (
        "Clips",
        "Short clips in which something moves, comes or goes. The model was trained on still "
        "pictures alone; here it is shown four frames together and asked what any frame may tell.",
    ),
}
WORST_SAID = "What is wrong and the model is surest of."
WORST_BOXES = "The boxes that share least with the true ones; of those, the ones furthest off."

WORDS = {
    "training_artists": "Artists it trained on",
    "validation_artist": "The artist for choosing between runs",
    "unseen_artist": "An artist it never saw",
    "yes_no": "yes or no",
    "chance": "chance",
    "pixel_neighbour": "nearest by pixels",
    "pixel_nearest_neighbour": "nearest by pixels",
    "blank_image": "blank picture",
    "most_frequent_caption": "commonest caption",
    "majority_answer": "commonest answer",
    "most_common_answer_to_text": "commonest answer to the same question",
    "majority_label": "commonest label",
    "most_common_label_of_text": "commonest label of the same text",
    "similarity_alone": "similarity alone",
    "centre_box": "box in the middle",
    "mean_box": "mean of all boxes",
    "itc": "Contrast (ITC): which caption belongs to which picture",
    "itm": "Matching (ITM): does this caption fit this picture",
    "mlm": "Masked words (MLM): fill the gaps",
    "prefix_lm": "Continuation (prefix LM): go on with a caption",
    "caption": "Captioning: every next word",
    "answer": "Answering: every next word of an answer",
    "ground": "Boxes: the four numbers of a box",
    "compare": "Pairs: is a statement about two pictures true",
    "entail": "Entailment: does the picture say so",
    "tags": "Tags: which objects are there",
}


def metric_title(metric: str) -> str:
    """A metric's name in plain words."""
    if metric in METRICS:
        return METRICS[metric][0]
    whole = of_which(metric)
    return f"{METRICS[whole][0]}: {kind_title(metric)}" if whole else spelled(metric)


def kind_title(metric: str) -> str:
    """The kind that a figure is about, in plain words."""
    return spelled(metric.removeprefix(f"{of_which(metric)}_"))


def of_which(metric: str) -> str:
    """The metric of which this is one kind's, or nothing where it is a whole one."""
    return next((name for name in BY_KIND if metric.startswith(f"{name}_")), "")


def task_title(task: str) -> str:
    """A task's name in plain words, as figures name it."""
    return TASKS[task] if task in TASKS else spelled(task)


def part_title(task: str) -> str:
    """The title of a task's section."""
    return PARTS[task][0] if task in PARTS else spelled(task)


def metric_question(metric: str) -> str:
    """What a metric asks, or nothing where it is not known."""
    return METRICS[metric][1] if metric in METRICS else ""


def spelled(key: str) -> str:
    """A key in plain words: its entry, or the key with spaces for underscores."""
    return WORDS.get(key, key.replace("_", " "))


def figure(value: float, *, scale: float) -> str:
    """A fraction as percent, anything else with two decimals."""
    return f"{100 * value:.1f}%" if scale == 1 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `48 s`, `3 min 5 s`, `1 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
