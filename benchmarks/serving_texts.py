"""Texts that clients of a speech server ask for: sentences of different lengths, and long texts."""

SENTENCES = (
    "Yes, of course.",
    "Your table is ready now.",
    "The next train to the harbour leaves in seven minutes.",
    "I have moved the meeting to Thursday morning and told the others.",
    "Turn left behind the old mill, then follow the river until you reach the second bridge.",
    "It will be cloudy at first, with a little rain in the afternoon and mild wind from the west.",
    "Thank you for waiting. I found two rooms for the weekend, one with a view of the garden and "
    "one close to the lake.",
    "The museum opens at ten and closes at six. On Mondays only the library on the ground floor "
    "can be visited, and the tower stays shut all winter.",
)

PARAGRAPHS = (
    "On the first day of the voyage nobody spoke much. The sea was flat and grey, the deck smelled "
    "of tar and wet rope, and the cook went from one to the other with a kettle of tea. Towards "
    "evening a light appeared far ahead. The captain said it was the lamp of a fishing boat, and "
    "that we would be among the islands before the sun came up again.",
    "A good loaf needs little more than flour, water, salt and time. Mix them in the evening and "
    "leave the bowl in a cool place. In the morning the dough has doubled and is full of small "
    "bubbles. Fold it twice, shape it gently, and let it rest while the oven grows hot. After half "
    "an hour of baking, knock on the bottom: if it sounds hollow, the bread is done.",
    "The council has decided to plant four hundred trees along the northern road. Most of them "
    "are limes and maples, because they bear both the heat of the summer and the salt of the "
    "winter. The work begins in October and should be finished before the first snow. People who "
    "live there may choose which tree will stand in front of their house.",
    "When the bell rang for the last time, the children ran down the stairs and out into the "
    "yard. Only Martha stayed behind. She wiped the board, closed the windows one after another, "
    "and put the forgotten gloves into the basket by the door. Then she sat down at the piano and "
    "played the song that her mother had sung when they still lived by the sea.",
)

# About 1,400 characters each: the paragraphs in another order.
LONG_TEXTS = tuple("\n\n".join(PARAGRAPHS[n:] + PARAGRAPHS[:n]) for n in range(len(PARAGRAPHS)))
