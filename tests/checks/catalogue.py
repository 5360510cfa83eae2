"""Right and wrong spellings that several test files share."""

from svae_helpers.checks import nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09
from svae_helpers.checks._exact import Exercise
from svae_helpers.checks._random import RandomExercise

MODULES = (nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09)
EXERCISES = {
    thing.name: thing
    for module in MODULES
    for thing in vars(module).values()
    if isinstance(thing, Exercise | RandomExercise)
}
EXACT = {name: e for name, e in EXERCISES.items() if isinstance(e, Exercise)}
RANDOM = {name: e for name, e in EXERCISES.items() if isinstance(e, RandomExercise)}
