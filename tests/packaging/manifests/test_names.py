"""Names of models, hosts and images where they are deployed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import NAME_PATTERN
from everloop.packaging.manifests.names import checked_host, checked_label, is_exact, label, pinned_image

NAMES = st.from_regex(re.compile(NAME_PATTERN.replace("(?!\\n)", ""), re.ASCII), fullmatch=True).map(str.strip)
DIGEST = "0" * 64


@given(NAMES, st.sampled_from([32, 52]))
def test_every_name_of_a_model_becomes_a_label(name: str, longest: int) -> None:
    found = label(name, longest)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", found)
    assert len(found) <= longest


@given(NAMES, NAMES)
def test_two_names_never_become_one_label(one: str, other: str) -> None:
    assert (label(one) == label(other)) == (one == other)


@pytest.mark.parametrize(("one", "other"), [("a.b", "a-b"), ("a_b", "a.b"), ("Late", "late"), ("x" * 60, "x" * 61)])
def test_names_that_look_alike_stay_apart(one: str, other: str) -> None:
    assert label(one) != label(other)


@given(NAMES)
def test_a_label_is_its_own_label(name: str) -> None:
    assert label(label(name)) == label(name)


@pytest.mark.parametrize("name", ["late", "late-flights-2", "a" * 52])
def test_a_name_that_is_a_label_stays_as_it_is(name: str) -> None:
    assert label(name) == name


@pytest.mark.parametrize(
    "image", ['x"\nkind: Pod', "a b", "-rm", "{model}", "a/../b", "Late", "a:b:c", "", "${x}", "x@sha256:1"]
)
def test_an_image_that_is_no_name_is_refused(image: str) -> None:
    with pytest.raises(InvalidInput, match="image"):
        pinned_image(image, "1")


def test_an_image_without_a_tag_is_pinned_to_its_digest_or_else_gets_the_tag() -> None:
    assert pinned_image("registry.test:5000/late", "3", DIGEST) == f"registry.test:5000/late@sha256:{DIGEST}"
    assert pinned_image("registry.test:5000/late", "3") == "registry.test:5000/late:3"


@pytest.mark.parametrize("image", ["late:3", f"late@sha256:{DIGEST}", f"registry.test/late:3@sha256:{DIGEST}"])
def test_an_image_that_says_which_one_it_is_stays_as_it_is(image: str) -> None:
    assert is_exact(image)
    assert pinned_image(image, "4", "f" * 64) == image


def test_a_registrys_port_is_no_tag() -> None:
    assert not is_exact("registry.test:5000/late")


@pytest.mark.parametrize("name", ["Front", "a b", "9lives", "x" * 64, "a\n", "-a", "a-"])
def test_a_namespace_that_kubernetes_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="namespace"):
        checked_label("namespace", name)


@pytest.mark.parametrize("host", ["late..org", "-late.org", "late.org\n", "a" * 254, "http://late.org", "late.org/x"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="host"):
        checked_host(host)


def test_a_host_is_taken_as_it_is() -> None:
    assert checked_host("late.example.org") == "late.example.org"
