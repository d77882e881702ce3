"""Nernst-Planck-Poisson on DOLFINx: species that drift, diffuse and make their field.

Files here work in scaled units (`Scales` turns them into SI and back):

=============  ===========================  ====================================
symbol         meaning                      unit
=============  ===========================  ====================================
x              position                     length l
c_i            concentration                density c0
D_i            diffusivity                  D0
psi_i          electrochemical potential    kT
phi            electric potential           kT/e
mu_ex_i        excess chemical potential    kT
J_i            flux                         D0 c0 / l
sigma          surface charge               e c0 l
p              Poisson number               eps0 kT / (e^2 c0 l^2)
=============  ===========================  ====================================
"""
