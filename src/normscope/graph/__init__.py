"""The operator graph of a model: what it computes, operator by operator, and what follows.

It knows no framework. A front end (`frameworks/NAME/trace.py`) says of each operator its role and
its rule; everything here asks these alone, never the name of an operator.

    operators          the graph: values, nodes with their roles, calls of layers
    rules              what an operator does with its elements
    labels             rules of the usual kinds: elementwise, reduction, product, convolution
    replay             run a part again, with other numbers

Whose is each element, and do samples, or steps in time, stay apart?

    lattice            owners of elements, and how those of several are joined
    masks              numbers that are zero for sure, or so low that a softmax drops them
    constants          what is known of the numbers of constants
    label_owners       owners along labels
    inner_graphs       owners in branches and loops
    owners             a graph, followed from its inputs by all of these
    proof              what the owners of the outputs prove

Where is something normalized?

    statistics_flow    steps: a statistic that comes back onto what it was taken from
    site_groups        which steps are one normalization together
    stored_statistics  what is multiplied by one divided by a root of stored numbers
    site_ends          where a normalization begins and ends
    dismissals         why steps are no normalization after all
    sites              all of it: the sites of a graph
    neighbours         what makes the channels of a site, and what uses its output
    extract            a site as a function of its input
"""
