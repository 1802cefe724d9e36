"""python -m initlab.probe: what initializers do to signal and gradient, before any training, and what theory says.

Only this line's home: in Python `initlab.probe` is the function of that name, which importing this module would hide.
"""

if __name__ == "__main__":
    from initlab.probe_command import main

    main()
