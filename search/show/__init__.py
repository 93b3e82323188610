"""What every result is shown with: numbers as text, tables, HTML for notebooks, the style and the files of figures.

    text          numbers, values and names of trials as text
    sheet         a table of text, printed with lines on a terminal
    html          pieces of HTML, from `templates/pieces.html`
    figure_style  colours, axes and legends of figures
    figure_file   the file that a figure is saved to

These modules know nothing of any result. They import nothing from the package but `search.errors`.
"""
