"""Files with a word and its tag on each line: what is read from them, and what is said about those that are wrong."""

from pathlib import Path

import pytest

from rnnbench.tasks.text.columns import read_columns

WNUT = Path(__file__).parents[3] / "shared" / "data" / "wnut17"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_words_and_tags_of_each_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "some", "Ada B-PER\nsaw O\nParis B-LOC\n\nNo O\n")
    first, second = read_columns(path)
    assert first == (("Ada", "saw", "Paris"), ("B-PER", "O", "B-LOC"), 0, (1, 2, 3))
    assert second == (("No",), ("O",), 0, (5,))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffAda\tB-PER\r\nsaw\tO\r\n\t\r\n  \r\nNo\tO",
        "\n\nAda\tB-PER\nsaw\tO\n\n# a comment\n\nNo\tO\n\t\n\t\n\n",
        "# text = Ada saw\nAda   B-PER\nsaw O  \n \n# the next one\n# id = 2\nNo O",
        "-DOCSTART- O\n\nAda B-PER\nsaw O\n\nNo O\n",
        "-DOCSTART- -X- -X- O\n\nAda NNP I-NP B-PER\nsaw VBD I-VP O\n\nNo UH O O\n",
    ],
)
def test_what_surrounds_words_does_not_matter(tmp_path: Path, text: str) -> None:
    sentences = read_columns(write(tmp_path / "some", text))
    assert [(own.words, own.tags) for own in sentences] == [(("Ada", "saw"), ("B-PER", "O")), (("No",), ("O",))]


def test_a_word_may_start_with_a_hash_or_hold_blanks_and_other_separators(tmp_path: Path) -> None:
    path = write(tmp_path / "some", "#\tO\n#NFL\tB-group\nNew\u00a0York 1\tB-loc\na\u2028b\tO\n")
    assert read_columns(path)[0].words == ("#", "#NFL", "New\u00a0York 1", "a\u2028b")
    path = write(tmp_path / "other", "# O\n#NFL B-group\nNew\u00a0York B-loc\n")
    assert read_columns(path)[0].words == ("#", "#NFL", "New\u00a0York")


def test_documents_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "some", "-DOCSTART- O\n\na O\n\nb O\n-DOCSTART- O\n-DOCSTART- O\nc O\n")
    assert [own.document for own in read_columns(path)] == [0, 0, 1]


def test_columns_by_number_and_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "some", "# global.columns = ID FORM NER POS\n1\tAda\tB-PER\tX\n2\tsaw\tO\tY\n")
    for word, tag in ((1, 2), (-3, -2), ("FORM", "NER")):
        [sentence] = read_columns(path, word, tag)
        assert (sentence.words, sentence.tags) == (("Ada", "saw"), ("B-PER", "O"))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a O\nb\nc O\n", {}, r"some:2: expected 2 columns, as in line 1, got 1"),
        ("a\tO\nb O\n", {}, r"some:2: expected 2 columns, as in line 1, got 1"),
        ("a\tO\n\n\tO\n", {}, r"some:3: expected a word and its tag, got an empty column"),
        ("", {}, "expected lines with a word and its tag, got none"),
        ("\n# no word\n-DOCSTART- O\n", {}, "expected lines with a word and its tag, got none"),
        ("a O\n", {"tag": 2}, "tag: expected a column from -2 to 1, got 2"),
        ("a O\n", {"word": "FORM"}, "word: there is no column 'FORM'; the file names none, so give a number"),
        ("# global.columns = A B\na O\n", {"tag": "C"}, "tag: there is no column 'C'; those named are A, B"),
    ],
)
def test_wrong_files_are_named_with_their_line(tmp_path: Path, text: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_columns(write(tmp_path / "some", text), **options)


def test_other_encodings_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"some:2: expected text in UTF-8, got the byte 0xe9"):
        read_columns(write(tmp_path / "some", "a O\ncafé O\n", encoding="latin-1"))
    with pytest.raises(ValueError, match="there is no file"):
        read_columns(tmp_path / "none")


@pytest.mark.skipif(not WNUT.is_dir(), reason="needs the data of WNUT-17")
def test_wnut_has_as_many_sentences_and_words_as_published() -> None:
    counts = {}
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        sentences = read_columns(WNUT / name)
        counts[name.split(".")[1]] = (len(sentences), sum(len(own.words) for own in sentences))
    assert counts == {"conll": (3394, 62730), "dev": (1009, 15733), "test": (1287, 23394)}
