"""Does a model give its training images away?"""
