"""What an object file defines and what it needs, in the formats of all systems."""

import struct


def symbols(code):
    """Return the names that an object file defines, and those that it needs.

    Parameters
    ----------
    code : bytes

    Returns
    -------
    defined, needed : set of str
        As C writes them.
    """
    pairs = list(file_format(code)[3](code))
    return (
        {name for name, is_defined in pairs if is_defined},
        {name for name, is_defined in pairs if not is_defined},
    )


def file_format(code):
    """Return the entry of `FORMATS` for an object file."""
    for magic, entry in FORMATS.items():
        if code.startswith(magic):
            return entry
    raise ValueError(f"not an object file: {code[:4]!r}")


def _text_at(code, offset):
    return code[offset : code.index(b"\0", offset)].decode()


def _elf_symbols(code):
    """Pairs of name and 'is defined' of an ELF file of 64 bits."""
    (sections,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    headers = [
        struct.unpack_from("<IIQQQQIIQQ", code, sections + size * i)
        for i in range(count)
    ]
    for header in headers:
        if header[1] != 2:  # SHT_SYMTAB
            continue
        names = headers[header[6]][4]
        for at in range(header[4], header[4] + header[5], 24):
            name, _, _, section = struct.unpack_from("<IBBH", code, at)
            if name:
                yield _text_at(code, names + name), section != 0


def _macho_symbols(code):
    """The same of a Mach-O file, without the underscore before C's names."""
    (n_commands,) = struct.unpack_from("<I", code, 16)
    at = 32
    for _ in range(n_commands):
        command, size = struct.unpack_from("<II", code, at)
        if command == 2:  # LC_SYMTAB
            table, count, names, _ = struct.unpack_from("<IIII", code, at + 8)
            for i in range(count):
                name, kind = struct.unpack_from("<IB", code, table + 16 * i)
                text = _text_at(code, names + name)
                yield text.removeprefix("_"), kind & 0x0E != 0  # N_TYPE, N_UNDF
        at += size


def _coff_symbols(code):
    """The same of a COFF file."""
    table, count = struct.unpack_from("<II", code, 8)
    names = table + 18 * count
    i = 0
    while i < count:
        entry = code[table + 18 * i : table + 18 * (i + 1)]
        zeros, offset = struct.unpack_from("<II", entry)
        if zeros:
            name = entry[:8].rstrip(b"\0").decode()
        else:
            name = _text_at(code, names + offset)
        (section,) = struct.unpack_from("<h", entry, 12)
        yield name, section != 0
        i += 1 + entry[17]


#: Format by its first bytes: name, where the machine's number stands, and symbols.
FORMATS = {
    b"\x7fELF": ("ELF", 18, "<H", _elf_symbols),
    b"\xcf\xfa\xed\xfe": ("Mach-O", 4, "<I", _macho_symbols),
    b"\x64\x86": ("COFF", 0, "<H", _coff_symbols),
}
