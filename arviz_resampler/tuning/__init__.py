"""A family of priors and its hyper-parameters.

Knows the pipeline, weights and plots; ipywidgets in what makes up the widget alone.

==============  ======================================================================================
tuner.py        `Tuner`: updates, history, source
family.py       a function from hyper-parameters to priors, with their ranges
ranges.py       the interval of a hyper-parameter
family_guide.py `family`: a guide for a box of hyper-parameters; design.py its points and its promise,
                laboratory.py members of a family to learn from
coverage.py     for which hyper-parameters the particles are reliable; step.py the verdict on one position
code.py         a member of a family as source; update.py what a tuner needs and gives
widget.py       sliders, plot and verdict; controls.py a slider, choices.py what is shown, badge.py the
                verdict in words, code_view.py source, record.py what a notebook keeps, timers.py calls
                after a while
==============  ======================================================================================
"""
