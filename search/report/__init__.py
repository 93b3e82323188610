"""The report: a study's record as one page that opens offline, and its figures as files.

    study --> record --> figures, statements --> page
              (read)     (a file for each)       (HTML, PNG, SVG)

It begins in `build.write`. All but two of the figures are drawn from what the study holds. Those two (the weights, the
test split) train the chosen trial's networks again, which gives the same networks: a trial is a pure function.
"""
