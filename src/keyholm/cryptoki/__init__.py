"""The model in the words of PKCS#11: for the door that speaks it and the store that is spoken to.

    mechanisms  what a CKM is in the core     forms   kinds of key pairs
    parameters  of mechanisms                 points  of curves
    wrong       what only PKCS#11 can get wrong
"""
