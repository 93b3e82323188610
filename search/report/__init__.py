"""The report: a study's record as one page that opens offline, and its figures as files.

    study --> record --> figures, statements --> page
              (read)     (one file each)         (HTML, PNG, SVG)

`build.write` is the way in. Everything but two figures is read from the study; those two (the weights, the test split)
train the chosen trial's networks again, which a trial being a pure function makes the same networks.
"""
