def read(): return {}
