"""Tables as people have them: what is concluded from their fields is said, and what cannot be is refused."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from initlab.base.errors import UserError
from initlab.base.wording import typed_list
from initlab.cli.arguments import understood
from initlab.data.csv_table import csv_table
from initlab.data.dataset import Dataset
from initlab.data.fields import number_of

ROWS = 200
RNG = np.random.default_rng(0)
SIZE = RNG.normal(50, 9, ROWS).round(1)
WIDTH = RNG.normal(5, 2, ROWS).round(3)
PRICE = (WIDTH * 2 + RNG.normal(0, 0.1, ROWS)).round(2)


def written(columns: Mapping[str, object], sep: str = ",") -> str:
    return pd.DataFrame(columns).to_csv(index=False, sep=sep)


def load(text: str | bytes, folder: Path, target: object = "price", **options: object) -> Dataset:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return csv_table(path=str(path), target=target, **options)  # type: ignore[arg-type]


PLAIN = {"size": SIZE, "width": WIDTH, "price": PRICE}


def same(one: Dataset, other: Dataset) -> bool:
    return one.checksum == other.checksum


@pytest.mark.parametrize("change", ["a cell", "a target", "the order of columns", "a row less", "two rows swapped"])
def test_what_is_not_the_same_is_noticed(change: str, tmp_path: Path) -> None:
    """The tests below rest on `same`: a field read as another number, or in another place, fails them."""
    frame = pd.DataFrame(PLAIN)
    others = {
        "a cell": frame.assign(size=with_one(SIZE, "51.3").astype(float)),
        "a target": frame.assign(price=with_one(PRICE, "5.5").astype(float)),
        "the order of columns": frame[["width", "size", "price"]],
        "a row less": frame.drop(index=17),
        "two rows swapped": frame.iloc[[1, 0, *range(2, ROWS)]],
    }
    plain = load(written(PLAIN), tmp_path)
    assert same(plain, load(written(PLAIN), tmp_path))
    with pytest.raises(AssertionError):
        assert same(plain, load(others[change].to_csv(index=False), tmp_path))


def with_one(values: object, word: str, place: int = 6) -> pd.Series:
    column = pd.Series(values).astype(str)
    column[place] = word
    return column


def test_a_column_that_counts_the_rows_is_left_out_and_can_be_kept(tmp_path: Path) -> None:
    """Kaggle's Iris, whose Id gives the species away."""
    features, species = load_iris(return_X_y=True)
    columns = {"Id": np.arange(1, 151), **{f"x{k}": features[:, k] for k in range(4)}, "Species": species}
    names = pd.Series(species).map({0: "setosa", 1: "versicolor", 2: "virginica"})
    text = written({**columns, "Species": names})
    dataset = load(text, tmp_path, "Species")
    assert dataset.input_shape == (4,)
    assert dataset.note == "Id counts the rows, and is left out; 'data.keep=[Id]' brings it back."
    assert load(text, tmp_path, "Species", keep=["Id"]).input_shape == (5,)
    shuffled = pd.DataFrame({**columns, "Species": names}).sample(frac=1, random_state=0).to_csv(index=False)
    assert load(shuffled, tmp_path, "Species").input_shape == (4,)
    gaps = pd.DataFrame(columns).drop(index=[3, 70])
    assert load(gaps.drop(columns="Id").to_csv(), tmp_path, "Species").input_shape == (4,)  # an index of what was left


def test_a_column_is_no_count_if_it_is_all_there_is_or_skips(tmp_path: Path) -> None:
    assert load(written({"year": np.arange(1900, 1900 + ROWS), "price": PRICE}), tmp_path).input_shape == (1,)
    skipping = written({"year": np.arange(ROWS) * 2, "width": WIDTH, "price": PRICE})
    assert load(skipping, tmp_path).input_shape == (2,)


@pytest.mark.parametrize("word", ["unknown", "tbd", "n/d", "-", "rubbish"])
def test_a_word_among_numbers_is_missing_and_named(word: str, tmp_path: Path) -> None:
    empty = load(written({**PLAIN, "size": with_one(SIZE, "")}), tmp_path)
    dataset = load(written({**PLAIN, "size": with_one(SIZE, word)}), tmp_path)
    assert same(dataset, empty)
    assert f"size: '{word}' in row 7 taken as missing." in dataset.note
    target = load(written({**PLAIN, "price": with_one(PRICE, word)}), tmp_path)
    assert target.task == "regression"
    assert same(target, load(written({**PLAIN, "price": with_one(PRICE, "")}), tmp_path))
    assert f"1 row without price is left out of data.path={tmp_path / 'table.csv'}: '{word}' in row 7." in target.note


def test_every_word_among_numbers_is_named_with_its_row(tmp_path: Path) -> None:
    dataset = load(written({**PLAIN, "size": with_one(with_one(SIZE, "?"), "tbd", 2)}), tmp_path)
    assert "size: 'tbd' in row 3, '?' in row 7 taken as missing." in dataset.note
    words = pd.Series(np.array(["red", "blue"])[np.arange(ROWS) % 2])
    dataset = load(written({**PLAIN, "size": with_one(words, "?")}), tmp_path)
    assert "size: '?' in row 7 taken as missing." in dataset.note
    (tmp_path / "test.csv").write_text(written({**PLAIN, "width": with_one(WIDTH, "NA", 4)}))
    dataset = load(written(PLAIN), tmp_path, test_path=str(tmp_path / "test.csv"))
    assert f"data.test_path={tmp_path / 'test.csv'}: width: 'NA' in row 5 taken as missing." in dataset.note


def test_a_second_line_of_units_is_named(tmp_path: Path) -> None:
    header, _, rest = written(PLAIN).partition("\n")
    dataset = load(f"{header}\ncm,kg,eur\n{rest}", tmp_path)
    assert dataset.note.startswith("row 1 looks like units (cm, kg, eur) and no sample: if so, delete its line.")
    assert same(dataset, load(f"{header}\n{rest}", tmp_path))  # as it has no price
    kinds = written({"kind": ["a", "b"] * 100, **PLAIN}).replace("\n", "\n,cm,kg,eur\n", 1)
    assert load(kinds, tmp_path).note.startswith("row 1 looks like units (cm, kg, eur)")
    for first in ("-,?,eur", "1,kg,eur"):
        assert "like units" not in load(f"{header}\n{first}\n{rest}", tmp_path).note
    words = written({"kind": ["a", "b"] * 100, "colour": ["red", "blue"] * 100, "price": PRICE})
    assert "like units" not in load(words, tmp_path).note


FIRST = "the first line, 5.1, 3.5 and setosa, names the columns, and looks like a row; data.header=false if it is one."


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("5.1,3.5,setosa", FIRST),
        ("setosa,-.5,1e-3", "the first line, setosa, -.5 and 1e-3, names the columns, and looks like a row;"),
        ("7,setosa,rosa", ""),
        ("0,1,species", ""),  # as pandas writes an array
        ("length,width,2", ""),
    ],
)
def test_a_header_line_that_looks_like_a_row_is_said(header: str, said: str, tmp_path: Path) -> None:
    features = load_iris().data
    columns = {"a": features[1:, 0], "b": features[1:, 1], "kind": ["setosa", "other"] * 74 + ["setosa"]}
    order = {"s": ["kind", "a", "b"]}.get(header[0], ["a", "b", "kind"])
    lines = pd.DataFrame(columns)[order].to_csv(index=False, header=False)
    target = 1 if header[0] == "s" else -1
    note = load(f"{header}\n{lines}", tmp_path, target).note
    assert said in note
    assert bool(said) == ("data.header=false" in note)
    assert "data.header" not in load(f"{header}\n{lines}", tmp_path, target, header=False, stratify=False).note


@pytest.mark.parametrize("name", ["column 1", "id", "größe", "a,b", 'the "id"', "CO(GT)", "null", "it's"])
def test_what_brings_a_column_back_can_be_pasted(name: str) -> None:
    """Into a shell, and read by Hydra as this very name."""
    (word,) = shlex.split(typed_list("data.keep", [name, "other"]))
    (found,) = understood([word], config_name="train")
    override = OverridesParser.create().parse_override(found)
    assert override.key_or_group == "data.keep"
    assert [str(entry) for entry in override.value()] == [name, "other"]  # type: ignore[union-attr]


def test_columns_without_names_are_brought_back(tmp_path: Path) -> None:
    text = pd.DataFrame({**PLAIN, "price": PRICE}).to_csv().replace("\n", ",\n").replace(",\n", ",x\n")
    dataset = load(text.replace("price,x", "price,", 1), tmp_path)
    assert "column 1 counts the rows, and is left out; 'data.keep=[column 1]' brings it back." in dataset.note
    assert "column 5 has no name, and is left out; 'data.keep=[column 5]' brings it back." in dataset.note
    assert load(text.replace("price,x", "price,", 1), tmp_path, keep=["column 1"]).input_shape == (3,)


def test_a_class_among_numbers_stays_a_class(tmp_path: Path) -> None:
    """Dependents of a loan: 0, 1, 2, 3+; the last is no mistake."""
    dependents = np.where(np.arange(ROWS) % 20 == 0, "3+", (np.arange(ROWS) % 3).astype(str))
    dataset = load(written({**PLAIN, "size": dependents}), tmp_path)
    assert dataset.input_shape == (5,)
    assert "size: '3+' in rows 1, 21, 41, … (10 rows) among numbers, so all are taken as words" in dataset.note
    assert load(written({**PLAIN, "size": dependents}), tmp_path, missing=["3+"]).input_shape == (2,)


def test_more_words_can_be_missing(tmp_path: Path) -> None:
    colours = np.array(["red", "blue", "n.b."])[np.arange(ROWS) % 3]
    assert load(written({**PLAIN, "size": colours}), tmp_path).input_shape == (4,)
    assert load(written({**PLAIN, "size": colours}), tmp_path, missing=["n.b."]).input_shape == (3,)


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1.234,5 €", ",", 1234.5),
        ("1 234,5", ",", 1234.5),
        ("-0,5", ",", -0.5),
        (",5", ",", 0.5),
        ("1.500", ",", 1500),
        ("$1,234.5", ".", 1234.5),
        ("1'234.5", ".", 1234.5),
        ("12 %", ".", 12),
        ("(3)", ".", -3),
        ("−3", ".", -3),
        ("EUR 7", ".", 7),
        ("1,23,4", ".", np.nan),
        ("1.2.3", ",", np.nan),
        ("12,34", ".", np.nan),
        ("01.02.2020", ",", np.nan),
        ("five", ".", np.nan),
    ],
)
def test_numbers_as_people_write_them(text: str, decimal: str, value: float) -> None:
    assert number_of(text, decimal) == pytest.approx(value, nan_ok=True)


def test_decimal_commas_are_recognized(tmp_path: Path) -> None:
    commas = {name: pd.Series(column).astype(str).str.replace(".", ",") for name, column in PLAIN.items()}
    plain = load(written(PLAIN), tmp_path)
    for sep in ",;":
        dataset = load(written(commas, sep), tmp_path)
        assert same(dataset, plain)
        assert "size: decimal commas." in dataset.note
    assert same(load(written(commas, ";"), tmp_path, decimal=","), plain)


def test_thousands_and_currency_are_recognized(tmp_path: Path) -> None:
    euros = [f"{value * 1000:,.2f} €".translate(str.maketrans(",.", ".,")) for value in WIDTH]
    dollars = [f"${value * 1000:,.2f}" for value in WIDTH]
    plain = load(written({**PLAIN, "width": (WIDTH * 1000).round(2)}), tmp_path)
    assert same(load(written({**PLAIN, "width": dollars}), tmp_path), plain)
    commas = {name: pd.Series(column).astype(str).str.replace(".", ",") for name, column in PLAIN.items()}
    assert same(load(written({**commas, "width": euros}, ";"), tmp_path), plain)


def test_whole_thousands_are_said_and_can_be_decimals(tmp_path: Path) -> None:
    marked = [f"{int(value * 100) + 1000:,}" for value in SIZE]
    dataset = load(written({**PLAIN, "size": marked}), tmp_path, standardize=False)
    assert float(dataset.train.inputs[:, 0].min()) > 1000
    assert "size: commas taken as thousands marks, as in" in dataset.note
    small = load(written({**PLAIN, "size": marked}), tmp_path, standardize=False, decimal=",")
    assert float(small.train.inputs[:, 0].max()) < 20


@pytest.mark.parametrize("word", ["None", "NA", "null", "?"])
def test_a_class_called_none_stays_a_class(word: str, tmp_path: Path) -> None:
    stages = np.array(["mild", "severe", word])[np.arange(ROWS) % 3].astype(object)
    dataset = load(written({**PLAIN, "price": stages}), tmp_path)
    assert (dataset.classes, dataset.note) == (3, "")
    stages[5] = ""
    left = load(written({**PLAIN, "price": stages}), tmp_path)
    assert left.classes == 3
    assert left.note.startswith("1 row without price is left out")


LINES = "".join(f"{k % 5},{k * k % 7},{k * 3.5 % 11}\n" for k in range(40))
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a name that stands twice": ("price,a,price\n" + LINES, r"names price twice \(columns 1 and 3\); rename one"),
    "no header line": (LINES, r"names 0 twice \(columns 1 and 2\); rename one of them, or set data.header=false"),
    "a short row": (f"z,a,price\n{LINES}3,4\n", r"Expected 3 fields in line 42, saw 2"),
    "a long row": (f"z,a,price\n{LINES}3,4,5,6\n", r"Expected 3 fields in line 42, saw 4"),
    "a quote that does not end": (f'z,a,price\n1,"open,3\n{LINES}', r"line 42: unexpected end of data"),
    "zero bytes": (("z,a,price\n" + LINES).encode("utf-16-le"), r"it holds zero bytes.*data.encoding=utf-16"),
    "another encoding": (
        "z,größe,price\n".encode("latin-1"),
        r"line 1 has the byte 0xf6\); set data.encoding, e.g.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_other_readers_repair_in_silence_is_refused(case: str, tmp_path: Path) -> None:
    content, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as refused:
        load(content, tmp_path)
    assert "\n" not in str(refused.value)


READ = {
    "separators at the ends of lines": "z,a,price\n" + LINES.replace("\n", ",\n"),
    "separators at all ends": "z,a,price,\n" + LINES.replace("\n", ",\n"),
    "comments above": f"# made by me, in May\n# again\nz,a,price\n{LINES}",
    "names behind a mark": f"# z,a,price\n{LINES}",
    "a note for Excel": "sep=;\nz;a;price\n" + LINES.replace(",", ";"),
    "spaces around": "z , a , price \n" + LINES.replace(",", " , "),
    "a byte order mark": f"\ufeffz,a,price\n{LINES}",
    "lines of Windows": f"z,a,price\n{LINES}".replace("\n", "\r\n"),
    "blank lines": f"\nz,a,price\n\n{LINES}\n\n",
    "a saved index": "".join(f"{k - 1 if k else ''},{line}\n" for k, line in enumerate(f"z,a,price\n{LINES}".split())),
}


@pytest.mark.parametrize("case", READ)
def test_what_says_the_same_is_read_the_same(case: str, tmp_path: Path) -> None:
    assert same(load(READ[case], tmp_path), load(f"z,a,price\n{LINES}", tmp_path))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252", "utf-8"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    content = f"z,a,größe\n{LINES}".encode(encoding)
    named = None if encoding.startswith("utf") else encoding  # utf-16 begins with a mark
    assert same(load(content, tmp_path, "größe", encoding=named), load(f"z,a,price\n{LINES}", tmp_path))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", None])
def test_a_message_names_the_encoding_that_was_used(encoding: str | None, tmp_path: Path) -> None:
    content = f"z,a,größe\n{LINES}1,2\n".encode(encoding or "utf-8")
    named = (encoding or "utf-8").upper()
    with pytest.raises(UserError, match=rf"no table in {named} \(Expected 3 fields in line 42, saw 2\)"):
        load(content, tmp_path, "größe", encoding=encoding)
    with pytest.raises(UserError, match=rf"no table in {named} \(it is empty\)"):
        load("\n".encode(encoding or "utf-8"), tmp_path, encoding=encoding)


def test_an_encoding_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.encoding=klingon: there is no such encoding"):
        load(LINES, tmp_path, encoding="klingon")


def test_codes_and_long_numbers_are_words(tmp_path: Path) -> None:
    codes = [f"0{1000 + k % 5}" for k in range(ROWS)]
    long = [str(10**18 + k % 4) for k in range(ROWS)]
    dataset = load(written({"zip": codes, "card": long, "price": PRICE}), tmp_path)
    assert dataset.input_shape == (9,)
    assert "zip: codes with zeros in front, taken as words. card: numbers too long" in dataset.note
    months = [f"{1 + k % 12:02}" for k in range(ROWS)]
    assert load(written({"month": months, "price": PRICE}), tmp_path).input_shape == (1,)


def test_codes_by_their_names(tmp_path: Path) -> None:
    codes = 1000 + RNG.permutation(ROWS) * 40
    table = {"zip_code": codes, "price": PRICE}
    said = "zip_code: codes, by its name, taken as numbers; 'data.ignore=[zip_code]' leaves it out."
    assert said in load(written(table), tmp_path).note
    assert "codes" not in load(written({"income": codes, "price": PRICE}), tmp_path).note
    assert "codes" not in load(written({**table, "zip_code": codes * 5}), tmp_path).note  # of different lengths
    unknown = [f"0{1000 + k % 5}" if k % 5 else "unknown" for k in range(ROWS)]
    dataset = load(written({"zip": unknown, "price": PRICE}), tmp_path)
    assert "zip: codes with zeros in front, taken as words" in dataset.note
    assert dataset.input_shape == (5,)


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x0b", "\x1c"])
def test_only_the_ends_of_lines_end_a_row(mark: str, tmp_path: Path) -> None:
    names = [f"a{mark}b" if k % 2 else "c" for k in range(ROWS)]
    for end in ("\n", "\r\n", "\r"):
        dataset = load(written({"name": names, **PLAIN}).replace("\n", end), tmp_path)
        assert dataset.input_shape == (4,)
        assert len(dataset.train) + len(dataset.val) + len(dataset.test) == ROWS


@pytest.mark.parametrize("target", [3, -1, "3"])
def test_no_header_line_and_a_target_by_its_place(target: object, tmp_path: Path) -> None:
    dataset = load(LINES, tmp_path, target, header=False)
    assert same(dataset, load(f"z,a,price\n{LINES}", tmp_path))
    assert same(load(f"z,a,price\n{LINES}", tmp_path, -1), dataset)
    decimal = LINES.replace(",", ";").replace(".", ",")
    assert same(load(decimal, tmp_path, target, header=False), dataset)


def test_several_targets(tmp_path: Path) -> None:
    dataset = load(written(PLAIN), tmp_path, ["price", "width"])
    assert (dataset.task, dataset.outputs, dataset.input_shape) == ("regression", 2, (1,))
    _, test = train_test_split(np.arange(ROWS), test_size=0.2, random_state=42)
    for place, column in enumerate((PRICE, WIDTH)):
        correlation = np.corrcoef(dataset.test.targets[:, place], column[test])[0, 1]
        assert correlation == pytest.approx(1)
    with pytest.raises(UserError, match=r"data.target: the target kind is text"):
        load(written({**PLAIN, "kind": ["a", "b"] * 100}), tmp_path, ["price", "kind"])


def test_no_group_on_both_sides(tmp_path: Path) -> None:
    patients = np.arange(ROWS) // 5
    marked = {"patient": [f"p{k}" for k in patients], "mark": patients * 2, "price": PRICE}
    dataset = load(written(marked), tmp_path, group="patient", standardize=False)
    assert dataset.input_shape == (1,)
    parts = [set((split.inputs[:, 0] / 2).int().tolist()) for split in (dataset.train, dataset.val, dataset.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert [len(part) for part in parts] == [26, 6, 8]
    with pytest.raises(UserError, match=r"data.test_fraction=0.2: leaves a part without rows"):
        load(written({**marked, "patient": "p"}), tmp_path, group="patient")


def test_the_last_rows_are_tested_on(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d")
    shuffled = np.random.default_rng(1).permutation(ROWS)
    columns = {"day": np.asarray(days)[shuffled], "mark": shuffled * 2, "price": PRICE}
    dataset = load(written(columns), tmp_path, order="day", standardize=False)
    assert dataset.input_shape == (1,)
    assert dataset.test.inputs[:, 0].tolist() == [2 * k for k in range(160, 200)]
    assert dataset.val.inputs[:, 0].tolist() == [2 * k for k in range(128, 160)]
    assert same(load(written({**columns, "day": shuffled}), tmp_path, order="day", standardize=False), dataset)
    with pytest.raises(UserError, match=r"row 5: data.order=day: 'soon' is neither a number nor a date"):
        load(written({**columns, "day": with_one(columns["day"], "soon", 4)}), tmp_path, order="day")


def test_parquet_and_packed_files_say_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame({**PLAIN, "kind": ["a", None] * (ROWS // 2), "flag": [True, False] * (ROWS // 2)})
    expected = load(frame.to_csv(index=False), tmp_path)
    frame.to_parquet(tmp_path / "table.parquet")
    frame.to_csv(tmp_path / "table.csv.gz", index=False)
    for name in ("table.parquet", "table.csv.gz"):
        assert same(csv_table(path=str(tmp_path / name), target="price"), expected)


def test_excel(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame({**PLAIN, "kind": ["a", None] * (ROWS // 2)})
    expected = load(frame.to_csv(index=False), tmp_path)
    frame.to_excel(tmp_path / "table.xlsx", index=False)
    assert same(csv_table(path=str(tmp_path / "table.xlsx"), target="price"), expected)


def test_a_test_file_is_read_as_the_other(tmp_path: Path) -> None:
    commas = {name: pd.Series(column).astype(str).str.replace(".", ",") for name, column in PLAIN.items()}
    columns = {"Id": np.arange(ROWS), **commas}
    (tmp_path / "test.csv").write_text(pd.DataFrame(columns).iloc[:50].to_csv(index=False, sep=";"))
    dataset = load(written(columns, ";"), tmp_path, test_path=str(tmp_path / "test.csv"), standardize=False)
    torch.testing.assert_close(dataset.test.inputs[:, 0], torch.tensor(SIZE[:50], dtype=torch.float32))
