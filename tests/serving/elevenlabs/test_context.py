"""Contexts without input and output: what is started and when, and what ends them."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sparktts_ms.errors import InputError
from sparktts_ms.serving.elevenlabs.context import (
    CLOSE_SECONDS,
    MAX_AHEAD,
    SETTLE_SECONDS,
    ContextLimits,
    Contexts,
)
from sparktts_ms.serving.elevenlabs.messages import Message

PIECES = ["Hello there. ", "and 3", ".14 is", " Dr. ", "Smith, who ", "is here", "? ",
          "你好。", "很"]
LIMITS = ContextLimits(contexts=3, text=200, inactivity=20.0)


def send(contexts, now=0.0, **fields):
    return contexts.receive(Message(**fields), now)


def started(context):
    """Texts of the clauses that can be started now."""
    found = []
    while (clause := context.next_clause()) is not None:
        found.append(clause.text)
    return found


def letters(text):
    return "".join(filter(str.isalnum, text))


@pytest.fixture
def contexts():
    return Contexts(LIMITS, 0.0)


def test_a_clause_starts_when_it_is_complete(contexts):
    context = send(contexts, context_id="a", text="Hello there, my ")
    assert started(context) == ["Hello there,"]
    context.note_audio()
    send(contexts, context_id="a", text="friend")
    assert started(context) == []
    send(contexts, context_id="a", flush=True)
    assert started(context) == ["my friend"]


def test_the_first_clause_is_alone_until_it_is_audible(contexts):
    context = send(contexts, context_id="a", text="One is here. x")
    assert started(context) == ["One is here."]
    send(contexts, context_id="a", text=" is here. y")
    assert started(context) == []
    context.note_audio()
    assert started(context) == ["x is here."]


def test_few_clauses_are_ahead_and_those_that_wait_become_one(contexts):
    context = send(contexts, context_id="a", text=" ")
    context.note_audio()
    for text in ("One is here. ", "Two is here. ", "Three is here. ", "Four is here. x"):
        context = send(contexts, context_id="a", text=text)
        if context.num_ahead < MAX_AHEAD:
            assert started(context) == [text.split(". ")[0] + "."]
    assert context.num_ahead == MAX_AHEAD
    contexts.note_spoken(context, 1.0)
    assert started(context) == ["Three is here. Four is here."]


def test_auto_mode_takes_messages_for_phrases():
    contexts = Contexts(LIMITS, 0.0, auto_mode=True)
    context = send(contexts, context_id="a", text="Hello there.")
    assert started(context) == ["Hello there."]
    context.note_audio()
    send(contexts, context_id="a", text="It costs 3.")
    assert started(context) == []
    send(contexts, context_id="a", text="5 euros.")
    assert started(context) == ["It costs 3.5 euros."]


def test_settled_text_starts(contexts):
    context = send(contexts, 5.0, context_id="a", text="Hello there.")
    assert contexts.deadline() == 5.0 + SETTLE_SECONDS
    assert contexts.expire(5.0) == []
    assert contexts.expire(5.0 + SETTLE_SECONDS) == [context]
    assert started(context) == ["Hello there."]
    assert contexts.deadline() > 6.0


def test_close_directly_after_flush_finishes(contexts):
    context = send(contexts, context_id="a", text="One is here. Two")
    started(context)
    context.note_audio()
    send(contexts, 3.0, context_id="a", flush=True)
    context.note_audio()
    send(contexts, 3.0 + CLOSE_SECONDS / 2, context_id="a", close_context=True)
    assert context.is_closed and not context.is_final
    assert started(context) == ["Two"]
    for _ in range(2):
        assert not context.is_final
        contexts.note_spoken(context, 4.0)
    assert context.is_final
    assert list(contexts) == []


def test_close_before_anything_is_audible_finishes_what_was_flushed(contexts):
    context = send(contexts, context_id="a", text="One is here.", flush=True)
    send(contexts, 9.0, context_id="a", close_context=True)
    assert not context.is_final
    assert started(context) == ["One is here."]


@pytest.mark.parametrize("flushed, heard", [(False, False), (False, True), (True, True)])
def test_any_other_close_stops(contexts, flushed, heard):
    context = send(contexts, context_id="a", text="One is here. Two", flush=flushed)
    started(context)
    if heard:
        context.note_audio()
    send(contexts, 2 * CLOSE_SECONDS, context_id="a", close_context=True)
    assert context.is_stopped and context.is_final
    assert started(context) == []


def test_text_after_a_flush_makes_a_close_stop(contexts):
    context = send(contexts, context_id="a", text="One is here.", flush=True)
    send(contexts, context_id="a", text="Two")
    send(contexts, context_id="a", close_context=True)
    assert context.is_stopped


def test_second_close_stops(contexts):
    context = send(contexts, context_id="a", text="One is here.", flush=True)
    send(contexts, context_id="a", close_context=True)
    assert not context.is_stopped
    assert send(contexts, context_id="a", close_context=True) is context
    assert context.is_stopped


def test_keep_alive_flush_and_close_open_no_context(contexts):
    for fields in ({"text": ""}, {"flush": True}, {"close_context": True}, {"text": "",
                                                                           "flush": True}):
        assert send(contexts, context_id="a", **fields) is None
    assert list(contexts) == []


def test_an_id_can_be_used_again_and_waits_for_the_context_before(contexts):
    first = send(contexts, context_id="a", text="One is here.", flush=True)
    send(contexts, context_id="a", close_context=True)
    second = send(contexts, context_id="a", text="Two is here.", flush=True)
    assert second is not first
    assert started(second) == []
    assert started(first) == ["One is here."]
    contexts.note_spoken(first, 1.0)
    assert started(second) == ["Two is here."]
    assert list(contexts) == [second]


def test_too_many_contexts(contexts):
    for name in "abc":
        send(contexts, context_id=name, text=" ")
    with pytest.raises(InputError) as caught:
        send(contexts, context_id="d", text=" ")
    assert caught.value.code == "max_active_conversations"
    send(contexts, context_id="b", close_context=True)
    assert send(contexts, context_id="d", text=" ") is not None


def test_too_much_text(contexts):
    send(contexts, context_id="a", text="word " * 40)
    with pytest.raises(InputError) as caught:
        send(contexts, context_id="a", text="more " * 40)
    assert caught.value.code == "text_too_long"


def test_an_idle_context_is_closed_and_what_is_left_is_spoken(contexts):
    context = send(contexts, context_id="a", text="and then")
    send(contexts, 15.0, context_id="a", text="")
    contexts.expire(15.0 + SETTLE_SECONDS)
    assert contexts.deadline() == 35.0
    contexts.expire(15.0 + SETTLE_SECONDS)
    assert contexts.deadline() == 35.0
    contexts.expire(34.9)
    assert not context.is_closed
    contexts.expire(35.0)
    assert context.is_closed
    assert started(context) == ["and then"]
    assert contexts.expire(100.0) == [] and not contexts.is_expired(100.0)
    contexts.note_spoken(context, 101.0)
    assert context.is_final
    assert not contexts.is_expired(120.9)
    assert contexts.is_expired(121.0)


def test_close_socket_lets_flushed_contexts_finish(contexts):
    flushed = send(contexts, context_id="a", text="One is here.", flush=True)
    other = send(contexts, context_id="b", text="Two is here. x")
    assert send(contexts, close_socket=True) is None
    assert contexts.is_closing and other.is_final and not flushed.is_final
    assert send(contexts, context_id="c", text="Three is here.") is None
    assert list(contexts) == [flushed]


def test_single_context_ends_with_an_empty_text():
    contexts = Contexts(LIMITS, 0.0, is_single=True)
    context = send(contexts, text=" ")
    assert send(contexts, text="and then") is context
    assert started(context) == []
    assert send(contexts, text="") is context
    assert started(context) == ["and then"]
    assert contexts.is_closing
    contexts.note_spoken(context, 1.0)
    assert context.is_final


def test_idle_single_context_expires():
    contexts = Contexts(LIMITS, 0.0, is_single=True)
    send(contexts, 1.0, text="and then")
    assert not contexts.is_expired(20.9)
    assert contexts.is_expired(21.0)


class ContextMachine(RuleBasedStateMachine):
    """Random messages of two contexts and the pace at which they are spoken, against a model: what
    of the text must be spoken, in which order, and that a stopped context stays silent."""

    @initialize(auto_mode=st.booleans())
    def begin(self, auto_mode):
        self.now = 0.0
        self.contexts = Contexts(ContextLimits(contexts=50, text=10_000, inactivity=1e9), 0.0,
                                 auto_mode)
        self.texts = {}             # of each context: all of it
        self.spoken = {}
        self.silenced = {}          # what had been started of those that were stopped
        self.current = {}

    def note(self, context):
        if context is not None:
            self.current[context.id] = context
            self.texts.setdefault(context, "")
            self.spoken.setdefault(context, [])

    @rule(name=st.sampled_from("ab"), flush=st.booleans(), text=st.sampled_from(PIECES))
    def add(self, name, text, flush):
        context = send(self.contexts, self.now, context_id=name, text=text, flush=flush)
        self.note(context)
        self.texts[context] += text

    @rule(name=st.sampled_from("ab"))
    def flush(self, name):
        self.note(send(self.contexts, self.now, context_id=name, flush=True))

    @rule(name=st.sampled_from("ab"))
    def close(self, name):
        send(self.contexts, self.now, context_id=name, close_context=True)
        context = self.current.get(name)
        if context is not None and context.is_stopped:
            self.silenced.setdefault(context, len(self.spoken[context]))

    @rule(name=st.sampled_from("ab"))
    def start(self, name):
        context = self.current.get(name)
        clause = context.next_clause() if context is not None else None
        if clause is not None:
            self.spoken[context].append(clause.text)

    @rule(name=st.sampled_from("ab"))
    def speak(self, name):
        for context in self.spoken:
            if context.id == name and context.num_ahead:
                context.note_audio()
                self.contexts.note_spoken(context, self.now)
                return

    @rule(seconds=st.floats(0, 1))
    def wait(self, seconds):
        self.now += seconds
        self.contexts.expire(self.now)

    @invariant()
    def check(self):
        for context, spoken in getattr(self, "spoken", {}).items():
            assert letters(self.texts[context]).startswith(letters("".join(spoken)))
            assert context.num_ahead <= MAX_AHEAD
            if context in self.silenced:
                assert len(spoken) == self.silenced[context]

    def teardown(self):
        for context in getattr(self, "spoken", {}):
            if context.is_stopped:
                continue
            context.finish(self.now)
        for _ in range(100):
            for context in self.spoken:
                while (clause := context.next_clause()) is not None:
                    self.spoken[context].append(clause.text)
                if context.num_ahead:
                    context.note_spoken(self.now)
        for context, spoken in self.spoken.items():
            assert context.is_final
            if not context.is_stopped:
                assert letters("".join(spoken)) == letters(self.texts[context])


TestContextMachine = ContextMachine.TestCase
