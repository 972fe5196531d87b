"""Registry: the versions of a model, which of them is current, and how that came about.

    shop/models/3f2a9c01d4e5/     a model as `save` wrote it, and entry.json: when, and what is told
    shop/current.json             the version that serves, the one before, both by name
    shop/history.jsonl            what was published, promoted, refused and removed, and why
    shop/incoming/                folders that may be published over HTTP, by their name

Decisions:

* **Nothing half.** A version is copied into a draft, synced, read back against its checksums, and
  put in place by one rename. Whoever is killed before that leaves a draft, which nobody reads and
  the next publisher removes. The pointer is a small file replaced by a rename.
* **A version is named by its weights** (`model_version`), so publishing it again changes nothing.
* **Several processes.** Publishers and promoters take turns by lock files; readers need none.
* **Names are checked**, and only the files that a manifest lists are copied: nothing leads outside.
* **A plain model folder is its own first version** (`home`) and is not copied: the registry of
  ``shop/`` then lies in ``shop/serve/``. A model fitted anew into the folder is current from the
  next start on.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from recency.errors import ConfigError, FormatError, UnknownIdError
from recency.serving.durable_files import turn, write_durably
from recency.serving.intake.event_checks import wall_clock
from recency.serving.models.drafts import put_in_place, remove, sweep
from recency.serving.models.history import History
from recency.serving.models.versions import NAME, Facts, Pointer, Version
from recency.storage import MANIFEST, read_manifest


class Registry:
    """Keep versions of a model in a folder.

    Args:
        path: Holds ``models/``, ``current.json`` and ``history.jsonl``; made when something is
            written.
        home: A plain model folder that counts as a version too.
        keep: Newest versions that are never removed, at least 3; nor are the current one, the
            previous one, and the last one that was put on trial or challenged.
        clock: Microseconds since 1970 UTC.

    Attributes:
        n_refused: Versions that the gate refused in this process.

    Raises:
        ConfigError: fewer than 3 are to be kept.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        home: str | Path | None = None,
        keep: int = 5,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        if keep < 3:
            raise ConfigError(f"expected to keep at least 3 versions, found keep={keep}.")
        self.path, self.home = Path(path), None if home is None else Path(home)
        self.models, self.incoming = self.path / "models", self.path / "incoming"
        self.history = History(self.path / "history.jsonl", clock)
        self._keep, self._clock = keep, clock
        self.n_refused = 0

    @classmethod
    def of(cls, folder: str | Path, **settings: Any) -> Self:
        """Find the registry of what ``recency serve`` is given: a registry, or a plain model.

        Raises:
            FormatError: the folder is neither.
        """
        folder = Path(folder)
        if (folder / MANIFEST).is_file():
            return cls(folder / "serve", home=folder, **settings)
        if not (folder / "models").is_dir():
            raise FormatError(
                f"expected a model folder or a registry, found neither {MANIFEST} nor models/ in "
                f"{folder}. 'recency fit' writes a model, 'recency models publish' a registry."
            )
        return cls(folder, **settings)

    # --- reading -------------------------------------------------------------------------------

    def versions(self) -> list[Version]:
        """List what is there, the oldest first."""
        refusals = self.history.refusals()
        found = []
        if (own := self._home_version()) is not None and self.home is not None:
            found.append(Version(own, self.home, refused=refusals.get(own)))
        folders = self.models.iterdir() if self.models.is_dir() else ()
        for folder in folders:
            if NAME.fullmatch(folder.name) and folder.name != own and folder.is_dir():
                entry = _read_json(folder / "entry.json")
                found.append(
                    Version(
                        folder.name,
                        folder,
                        int(entry.get("published", 0)),
                        dict(entry.get("facts", {})),
                        bool(entry.get("candidate", False)),
                        refusals.get(folder.name),
                    )
                )
        return sorted(found, key=lambda one: (one.published, one.version))

    def version(self, name: str) -> Version:
        """Find one version.

        Raises:
            ConfigError: that can be no name.
            UnknownIdError: there is no such version.
        """
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"expected the name of a version such as '3f2a9c01d4e5', found {name[:80]!r}."
            )
        versions = self.versions()
        for one in versions:
            if one.version == name:
                return one
        known = ", ".join(one.version for one in versions) or "none"
        raise UnknownIdError(f"there is no version {name!r}. Known: {known}.")

    def pointer(self) -> Pointer:
        """Tell which version serves; without a promotion it is the plain folder's own."""
        raw = _read_json(self.path / "current.json")
        if not raw:
            return Pointer(version=self._home_version())
        return Pointer(raw.get("version"), raw.get("previous"), raw.get("home"))

    def current(self) -> Version:
        """Give the version that serves.

        Raises:
            UnknownIdError: none was promoted, or it is gone.
        """
        name = self.pointer().version
        if name is None:
            raise UnknownIdError(
                f"no version of {self.path} was promoted yet; 'recency models promote' does it."
            )
        return self.version(name)

    def candidates(self) -> list[Version]:
        """List the versions that wait to take over, the newest first."""
        pointer = self.pointer()
        tried = {act.version for act in self.history.acts() if act.what == "promoted"}
        return [
            one
            for one in reversed(self.versions())
            if one.candidate
            and one.refused is None
            and one.version not in tried | {pointer.version, pointer.previous}
        ]

    def stamp(self) -> tuple[int, ...]:
        """Give numbers that change when something was published or promoted; costs two looks."""
        return tuple(_changed(path) for path in (self.models, self.path / "current.json"))

    # --- writing -------------------------------------------------------------------------------

    def publish(
        self, folder: str | Path, facts: Facts | None = None, *, candidate: bool = False
    ) -> str:
        """Copy a saved model in, in one piece; it serves once it is promoted.

        Args:
            folder: Written by ``save``: one model or an ensemble.
            facts: What else is to be told of it, as JSON. ``seq`` with ``log`` (see
                `recency.serving.log.event_store.EventStore`) says up to where of which event log
                the model's own histories go.
            candidate: Ask a running server to put it on trial and to let it take over.

        Returns:
            The name of the version. One that is there already stays as it is.

        Raises:
            FormatError: the folder is no model, or damaged.
            StoreError: another process has been publishing for half a minute.
        """
        manifest = read_manifest(folder)
        name = _checked_version(manifest.content.get("model_version"), manifest.folder)
        self.models.mkdir(parents=True, exist_ok=True)
        entry = {"published": self._clock(), "facts": dict(facts or {}), "candidate": candidate}
        with turn(self.models):
            sweep(self.models)
            if (self.models / name).is_dir() or name == self._home_version():
                return name
            put_in_place(manifest, entry, self.models / name)
        self.history.note("published", name, str((facts or {}).get("reason", "")))
        self._prune()
        return name

    def publish_incoming(self, name: str, facts: Facts | None = None) -> str:
        """Publish a folder of ``incoming/``, and of nowhere else.

        Raises:
            ConfigError: the name is none of a folder there.
            FormatError: the folder is no model, or damaged.
        """
        folder = self.incoming / name
        if not NAME.fullmatch(name) or folder.is_symlink() or not folder.is_dir():
            raise ConfigError(
                f"expected the name of a folder in {self.incoming}, found {name[:80]!r}. "
                f"Copy the model there first."
            )
        return self.publish(folder, facts)

    def promote(self, name: str, reason: str = "") -> Pointer:
        """Make a version the current one; the one before stays for `rollback`.

        Raises:
            UnknownIdError: there is no such version.
            StoreError: another process holds the registry.
        """
        self.version(name)
        with turn(self.path / "current.json"):
            pointer = self.pointer()
            if pointer.version == name:
                return pointer
            found = Pointer(name, pointer.version, self._home_version())
            self._point(found)
        self.history.note("promoted", name, reason)
        return found

    def rollback(self, reason: str = "") -> Pointer:
        """Make the previous version the current one; another time, and it is as before.

        Raises:
            ConfigError: there is none.
            UnknownIdError: it is gone.
        """
        previous = self.pointer().previous
        if previous is None:
            raise ConfigError("there is no version to go back to: only one has ever served.")
        return self.promote(previous, reason or "rolled back")

    def adopt_home(self) -> None:
        """Make the plain folder's model current where it was fitted since the last start."""
        own, pointer = self._home_version(), self.pointer()
        if own is not None and pointer.home not in (None, own):
            self.promote(own, "fitted into the folder")

    def refuse(self, name: str, reason: str) -> None:
        """Take down why the gate refused a version; it stays listed."""
        self.history.note("refused", name, reason)
        self.n_refused += 1

    # --- inside --------------------------------------------------------------------------------

    def _point(self, pointer: Pointer) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        content = {
            "version": pointer.version, "previous": pointer.previous, "home": pointer.home
        }  # fmt: skip
        write_durably(self.path / "current.json", json.dumps(content) + "\n")

    def _home_version(self) -> str | None:
        if self.home is None:
            return None
        content = _read_json(self.home / MANIFEST).get("content", {})
        name = content.get("model_version")
        return name if isinstance(name, str) and NAME.fullmatch(name) else None

    def _prune(self) -> None:
        with turn(self.models):
            pointer, tried = self.pointer(), self.history.newest("tried", "challenged")
            own = [one for one in self.versions() if one.folder != self.home]
            for one in own[: -self._keep]:
                if one.version in (pointer.version, pointer.previous, tried):
                    continue
                remove(one.folder)
                self.history.note(
                    "removed", one.version, f"more than {self._keep} newer ones are kept"
                )


def _checked_version(name: object, folder: Path) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise FormatError(
            f"expected the manifest in {folder} to name a model_version of letters and digits, "
            f"found {str(name)[:80]!r}; save the model again."
        )
    return name


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _read_json(path: Path) -> dict[str, Any]:
    """Read a small file; empty where it is missing or no object."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
