"""The example that `everloop init --example` copies: will a parcel be late?"""
