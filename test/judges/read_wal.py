"""
A reader of format 2 that shares no code with effect-wal: written from docs/FORMAT.md alone, with Python's standard
library. Of each directory that is named on standard input, one a line, it prints one line of JSON: either
{"events", "firstId", "lastId", "sha256"} (over u64 id, u32 length and bytes of every event) or {"fault": "…"}.
"""
import hashlib, json, os, re, struct, sys

M64, M32 = (1 << 64) - 1, (1 << 32) - 1
P = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
Q = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)


class Fault(Exception):
    pass


def need(isRight, what):
    if not isRight:
        raise Fault(what)


def rotl(x, r, bits, mask):
    return ((x << r) | (x >> (bits - r))) & mask


def xxh64(data, seed=0):
    def rnd(acc, lane):
        return rotl((acc + lane * P[1]) & M64, 31, 64, M64) * P[0] & M64
    at, n = 0, len(data)
    if n >= 32:
        v = [(seed + P[0] + P[1]) & M64, (seed + P[1]) & M64, seed, (seed - P[0]) & M64]
        while at + 32 <= n:
            for i, lane in enumerate(struct.unpack_from("<4Q", data, at)):
                v[i] = rnd(v[i], lane)
            at += 32
        h = sum(rotl(x, r, 64, M64) for x, r in zip(v, (1, 7, 12, 18))) & M64
        for x in v:
            h = ((h ^ rnd(0, x)) * P[0] + P[3]) & M64
    else:
        h = (seed + P[4]) & M64
    h = (h + n) & M64
    while at + 8 <= n:
        h = (rotl(h ^ rnd(0, struct.unpack_from("<Q", data, at)[0]), 27, 64, M64) * P[0] + P[3]) & M64
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ (struct.unpack_from("<I", data, at)[0] * P[0] & M64), 23, 64, M64) * P[1] + P[2]) & M64
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ (byte * P[4] & M64), 11, 64, M64) * P[0] & M64
    h = (h ^ h >> 33) * P[1] & M64
    h = (h ^ h >> 29) * P[2] & M64
    return h ^ h >> 32


def xxh32(data, seed=0):
    at, n = 0, len(data)
    if n >= 16:
        v = [(seed + Q[0] + Q[1]) & M32, (seed + Q[1]) & M32, seed, (seed - Q[0]) & M32]
        while at + 16 <= n:
            for i, lane in enumerate(struct.unpack_from("<4I", data, at)):
                v[i] = rotl((v[i] + lane * Q[1]) & M32, 13, 32, M32) * Q[0] & M32
            at += 16
        h = sum(rotl(x, r, 32, M32) for x, r in zip(v, (1, 7, 12, 18))) & M32
    else:
        h = (seed + Q[4]) & M32
    h = (h + n) & M32
    while at + 4 <= n:
        h = rotl((h + struct.unpack_from("<I", data, at)[0] * Q[2]) & M32, 17, 32, M32) * Q[3] & M32
        at += 4
    for byte in data[at:]:
        h = rotl((h + byte * Q[4]) & M32, 11, 32, M32) * Q[0] & M32
    h = (h ^ h >> 15) * Q[1] & M32
    h = (h ^ h >> 13) * Q[2] & M32
    return h ^ h >> 16


def lz4_block(data, out):
    """Decodes one block behind what `out` has; matches may reach into that."""
    at, n = 0, len(data)
    while True:
        need(at < n, "LZ4: no token")
        token, at = data[at], at + 1
        length = token >> 4
        if length == 15:
            while True:
                need(at < n, "LZ4: length of literals")
                length, at = length + data[at], at + 1
                if data[at - 1] != 255:
                    break
        need(at + length <= n, "LZ4: literals")
        out += data[at:at + length]
        at += length
        if at == n:
            return
        need(at + 2 <= n, "LZ4: offset")
        offset, at = data[at] | data[at + 1] << 8, at + 2
        need(0 < offset <= len(out), "LZ4: offset")
        length = (token & 15) + 4
        if length == 19:
            while True:
                need(at < n, "LZ4: length of a match")
                length, at = length + data[at], at + 1
                if data[at - 1] != 255:
                    break
        for _ in range(length):
            out.append(out[-offset])


def lz4_frames(data):
    out, at = bytearray(), 0
    while at < len(data):
        need(at + 8 <= len(data), "LZ4: a torn frame")
        magic, skip = struct.unpack_from("<II", data, at)
        if magic & 0xFFFFFFF0 == 0x184D2A50:
            at += 8 + skip
            need(at <= len(data), "LZ4: a torn skippable frame")
            continue
        need(magic == 0x184D2204, "LZ4: no frame")
        flags, head = data[at + 4], at + 4
        need(flags >> 6 == 1 and not flags & 3, "LZ4: version, or a dictionary")
        at = head + 2 + (8 if flags & 8 else 0)
        need(at < len(data) and data[at] == xxh32(data[head:at]) >> 8 & 255, "LZ4: checksum of a header")
        at, content = at + 1, bytearray()
        while True:
            need(at + 4 <= len(data), "LZ4: a torn frame")
            size, at = struct.unpack_from("<I", data, at)[0], at + 4
            if size == 0:
                break
            block, at = data[at:at + (size & 0x7FFFFFFF)], at + (size & 0x7FFFFFFF)
            need(at <= len(data), "LZ4: a torn block")
            if flags & 16:
                need(data[at:at + 4] == struct.pack("<I", xxh32(block)), "LZ4: checksum of a block")
                at += 4
            if size >> 31:
                content += block
            elif flags & 32:
                alone = bytearray()
                lz4_block(block, alone)
                content += alone
            else:
                lz4_block(block, content)
        if flags & 4:
            need(data[at:at + 4] == struct.pack("<I", xxh32(content)), "LZ4: checksum of the content")
            at += 4
        if flags & 8:
            need(struct.unpack_from("<Q", data, head + 2)[0] == len(content), "LZ4: size of the content")
        out += content
    return bytes(out)


def content_of(path):
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".lz4"):
        return lz4_frames(data)
    if path.endswith(".lz4b"):
        out = bytearray()
        lz4_block(data[4:], out)
        need(len(out) == struct.unpack_from("<I", data)[0], "the size of a block file")
        return bytes(out)
    return data


def header_of(data):
    need(len(data) >= 128, "no header")
    need(data[:4] == b"\x53\x46\x02\x80", "magic, version or header size")
    def sum_of(h):
        return struct.pack("<Q", xxh64(h[56:], xxh64(h[:48])))
    head = data[:128]
    zero = bytearray(head)
    for begin, end in ((8, 32), (40, 48), (56, 64), (96, 104)):
        zero[begin:end] = bytes(end - begin)
    new, old, is_ = sum_of(head), sum_of(bytes(zero)), head[48:56]
    keys = ("index", "blocks", "events", "first", "last", "created", "closed", "sum", "chain")
    header = dict(zip(keys, struct.unpack_from("<IIIQQQQQQ", head, 4)))
    header.update(wal=head[64:80], size=struct.unpack_from("<H", head, 92)[0])
    header.update(zip(("previous", "most"), struct.unpack_from("<QI", head, 80)))
    header["flushed"] = struct.unpack_from("<Q", head, 96)[0]
    header["isOpen"] = is_ == old
    # A closed header whose checksum is begun: new bytes in front, old ones behind.
    need(is_ == old or any(is_ == new[:i] + old[i:] for i in range(1, 9)), "checksum of a header")
    return header


def block_header(data, at):
    if at + 64 > len(data):
        return None
    keys = ("first", "last", "sum", "chain", "own", "index", "events", "zero", "bytes", "flush", "time")
    block = dict(zip(keys, struct.unpack_from("<5QIHHIIQ", data, at)))
    isIntact = block["own"] == xxh64(data[at + 40:at + 64], xxh64(data[at:at + 32]))
    return block if isIntact and block["events"] > 0 and block["zero"] == 0 else None


def read_segment(path, index, isNewest, before, hint, each):
    data = content_of(path)
    head = header_of(data)
    need(head["index"] == index, "the index of a header")
    if before is not None:
        need(head["wal"] == before["wal"], "another log")
        need(head["previous"] == before["chain"], "the chain from segment to segment")
    at, chain, count, last, time = 128, head["previous"], 0, None if before is None else before["last"], 0
    total = 0
    while not (not head["isOpen"] and count == head["blocks"]):
        block = block_header(data, at)
        payload = b"" if block is None else data[at + 64:at + 64 + block["bytes"]]
        counts = block is not None and block["index"] == count and len(payload) == block["bytes"] \
            and (last is None or block["first"] == last + 1) and block["flush"] <= count and block["time"] >= time \
            and block["last"] - block["first"] + 1 == block["events"] and block["bytes"] <= head["most"] \
            and block["sum"] == xxh64(payload) and block["chain"] == xxh64(payload, chain)
        if not counts:
            if head["isOpen"] and not any(data[at:]):
                break
            need(head["isOpen"] and isNewest, "a block that does not count")
            need(count > 0 and not (block is not None and block["flush"] == 0), "the first flush")
            for later in range(at + 64, len(data), 64):
                found = block_header(data, later)
                need(found is None or not (found["index"] > count and found["flush"] > count), "a later flush")
            need(hint is None or hint[0] != index or hint[1] <= last, "the meta file knows more")
            break
        id_, place = block["first"], 0
        for _ in range(block["events"]):
            size = head["size"]
            if size == 0:
                need(place + 4 <= len(payload), "the length of an event")
                size, place = struct.unpack_from("<I", payload, place)[0], place + 4
            need(place + size <= len(payload), "the bytes of an event")
            each(id_, payload[place:place + size])
            id_, place = id_ + 1, place + size
        need(place == len(payload), "bytes behind the events of a block")
        chain, last, time, total = block["chain"], block["last"], block["time"], total + block["events"]
        count, at = count + 1, at + 64 + (block["bytes"] + 63) // 64 * 64
    if not head["isOpen"]:
        need(at == len(data) and total == head["events"] and chain == head["chain"], "the end of a closed segment")
        need(total == 0 or last == head["last"], "the last id of a closed segment")
        need(total > 0 or last is None or head["first"] == last + 1, "the ids of a segment without events")
        last = head["last"]
    return {"wal": head["wal"], "chain": chain, "last": last}


def holes_of(directory):
    try:
        with open(os.path.join(directory, "wal_holes.json"), "rb") as file:
            stored = json.loads(file.read())
        text = json.dumps(stored["holes"], separators=(",", ":"), ensure_ascii=False)
        return stored["holes"] if int(stored["checksum"], 16) == xxh64(text.encode()) else []
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def pass_hole(holes, index, last, next_index):
    """Whether a hole that cost no event stands between a segment and the next one; one that cost events is a fault."""
    for hole in holes:
        first, end = hole["firstSegmentIndex"], hole["lastSegmentIndex"]
        if first in (index, index + 1) and end > index - (first == index) and hole["firstEventId"] == last + 1:
            need(hole["lastEventId"] < hole["firstEventId"], "events are lost, and that is acknowledged")
            if next_index is not None and end + 1 == next_index:
                return True
    return False


def read(directory):
    found = {}
    for name in os.listdir(directory):
        match = re.fullmatch(r".+\.(\d{8,10})\.wal(\.lz4b?)?", name)
        if match:
            found.setdefault(int(match[1]), []).append(os.path.join(directory, name))
    hint = None
    meta = os.path.join(directory, "wal_meta.dat")
    if os.path.exists(meta):
        with open(meta, "rb") as file:
            data = file.read()
        if len(data) == 24 and struct.unpack_from("<Q", data, 16)[0] == xxh64(data[:16]):
            hint = struct.unpack_from("<4xIQ", data)
    hash_, seen, before = hashlib.sha256(), [], None

    def each(id_, event):
        seen.append(id_)
        hash_.update(struct.pack("<QI", id_, len(event)) + event)
    indices = sorted(found)
    holes, previous = holes_of(directory), None
    need(indices or not holes, "all that there was is lost, and that is acknowledged")
    for index in indices + [None]:
        if previous is not None:
            isPassed = pass_hole(holes, previous, before["last"], index)
            need(isPassed or index in (None, previous + 1), "a segment is missing")
        if index is None:
            break
        previous = index
        before = read_segment(sorted(found[index])[0], index, index == indices[-1], before, hint, each)
    ids = {"firstId": seen[0], "lastId": seen[-1]} if seen else {"firstId": None, "lastId": None}
    return {"events": len(seen), **ids, "sha256": hash_.hexdigest()}


for line in sys.stdin:
    try:
        answer = read(line.rstrip("\n"))
    except Fault as fault:
        answer = {"fault": str(fault)}
    print(json.dumps(answer), flush=True)
