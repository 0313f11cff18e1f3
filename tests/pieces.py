"""A trace cut into pieces by a way that is too slow for anything but tests: node by node, request by request."""

import itertools

import numpy as np

from sim.trace import REQUEST_COLUMNS, Piece, shared_tokens


def upwards(trace, node):
    """The nodes from one to the root."""
    while node >= 0:
        yield node
        node = int(trace.parent[node])


def owners(trace):
    """The session that alone uses each node, -1 for documents: contexts, and what several sessions or none use."""
    users = [set() for _ in range(len(trace.parent))]
    for request in range(trace.requests):
        for node in upwards(trace, int(trace.leaf[request])):
            users[node].add(int(trace.session[request]))
    owner = [next(iter(found)) if len(found) == 1 else -1 for found in users]
    for node in range(len(owner)):
        for above in upwards(trace, node) if trace.context[node] else ():
            owner[above] = -1
    return owner


def pieces_of(trace, size):
    """The pieces of a trace, of ``size`` requests or more each: cut neither in an instant nor between followers."""
    owner = owners(trace)
    begins = {}
    for request in range(trace.requests):
        begins.setdefault(int(trace.session[request]), request)
    documents = [node for node in range(len(owner)) if owner[node] < 0]
    private = sorted((node for node in range(len(owner)) if owner[node] >= 0), key=lambda n: (begins[owner[n]], n))
    number = np.full(len(owner) + 1, -1)  # of no node: -1
    number[[*documents, *private]] = np.arange(len(owner))
    cuts = [0]
    for request in range(1, trace.requests):
        parts_nobody = not np.any((trace.follows[request:] >= 0) & (trace.follows[request:] < request))
        if request - cuts[-1] >= size and trace.arrive[request] > trace.arrive[request - 1] and parts_nobody:
            cuts.append(request)
    cuts.append(trace.requests)
    made, added = [], 0
    for first, end in itertools.pairwise(cuts):
        come = [node for node in private if first <= begins[owner[node]] < end]
        nodes = np.array([*(documents if first == 0 else []), *come], dtype=np.int64)
        last_turn = {int(trace.session[request]): request for request in range(trace.requests)}
        alive = [int(number[node]) for node in private if begins[owner[node]] < end <= last_turn[owner[node]]]
        made.append(piece(trace, number, owner, first, end, nodes, added, len(documents), alive))
        added += len(nodes)
    return made


def piece(trace, number, owner, first, end, nodes, added, documents, alive):
    """The requests ``[first, end)`` with the nodes that they add."""
    columns = {name: getattr(trace, name)[first:end] for name in REQUEST_COLUMNS}
    columns["leaf"] = number[columns["leaf"]]
    of_nodes = {name: getattr(trace, name)[nodes] for name in ("depth", "audio_depth", "context", "replaced")}
    own = [[int(number[n]) for n in range(len(owner)) if owner[n] == s] for s in columns["session"].tolist()]
    return Piece(
        trace=trace._replace(**columns, **of_nodes, parent=number[trace.parent[nodes]]),
        first=first,
        first_node=added,
        prompt=trace.prompt[first:end],
        heard=(trace.audio + shared_tokens(trace.leaf, trace.audio_depth))[first:end],
        home=trace.route[trace.session[first:end]],
        floor=np.array([min(some, default=-1) for some in own], dtype=np.int64),
        live_node=min([added + len(nodes), *alive]),
        documents=documents,
    )
