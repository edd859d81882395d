"""As much of XML Schema as the schema of JUnit reports uses; what it does not know is an error."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

XS = "{http://www.w3.org/2001/XMLSchema}"


class Schema:
    """The elements and types of an XSD."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.parse(path).getroot()
        self.elements = {e.get("name", ""): e for e in root.findall(f"{XS}element")}
        named = [*root.findall(f"{XS}complexType"), *root.findall(f"{XS}simpleType")]
        self.types = {t.get("name", ""): t for t in named}

    def problems(self, element: Element, declared: Element | None = None) -> list[str]:
        """What an element and those inside it have or lack against the schema."""
        declared = self.elements.get(element.tag) if declared is None else declared
        if declared is None:
            return [f"<{element.tag}> is not declared"]
        name = declared.get("type", "")
        if name == "xs:string":
            extra = [child.tag for child in element] + list(element.attrib)
            return [f"<{element.tag}> holds more than text: {extra}"] if extra else []
        declaration = self.types[name] if name else declared.find(f"{XS}complexType")
        assert declaration is not None
        return [*self._attributes(element, declaration), *self._content(element, declaration)]

    def _attributes(self, element: Element, declaration: Element) -> list[str]:
        known = {a.get("name", ""): a for a in declaration.findall(f"{XS}attribute")}
        wrong = [f"<{element.tag}> has {name}" for name in element.attrib if name not in known]
        for name, attribute in known.items():
            if attribute.get("use") == "required" and name not in element.attrib:
                wrong.append(f"<{element.tag}> lacks {name}")
            restricted = self.types.get(attribute.get("type", ""))
            if restricted is not None and name in element.attrib:
                pattern = restricted.find(f"{XS}restriction/{XS}pattern")
                assert pattern is not None
                if not re.fullmatch(pattern.get("value", ""), element.attrib[name]):
                    wrong.append(f"<{element.tag}> has {name}={element.attrib[name]!r}")
        return wrong

    def _content(self, element: Element, declaration: Element) -> list[str]:
        """The children; all lists of this schema are choices, or sequences of one kind."""
        allowed = {
            child.get("ref") or child.get("name", ""): child
            for group in ("sequence", "choice")
            for outer in declaration.findall(f"{XS}{group}")
            for child in outer.iter(f"{XS}element")
        }
        wrong = []
        text = "".join([element.text or "", *(child.tail or "" for child in element)])
        if text.strip() and declaration.get("mixed") != "true":
            wrong.append(f"<{element.tag}> holds text")
        for child in element:
            if child.tag not in allowed:
                wrong.append(f"<{child.tag}> in <{element.tag}>")
            else:
                own = allowed[child.tag]
                wrong += self.problems(child, None if own.get("ref") else own)
        return wrong
