"""The model in the words of PKCS#11: for the door that speaks it and the store that is spoken to.

mechanisms  what a CKM is in the core     outward       and what the core's are there
parameters  of mechanisms                 forms         kinds of key pairs
points      of curves                     private_keys  their parts, and PKCS#8
secrets     types of secret keys          wrong         what only PKCS#11 can get wrong
"""
